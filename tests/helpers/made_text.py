"""Words to make text of."""

WORDS = (
    *("river", "stone", "lamp", "garden", "winter", "harbour", "ladder", "engine", "window"),
    *("market", "holds", "warms"),
)
