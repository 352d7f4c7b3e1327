"""When to take snapshots, and how fast to learn."""

import numpy as np

from induction.config import Snapshots


def snapshot_steps(total_steps: int, batch_tokens: int, settings: Snapshots) -> list[int]:
    """Steps after which a snapshot is taken, ascending, from 0 to `total_steps`.

    At most `settings.count`, evenly spaced in ln(1 + tokens / settings.linear_until): evenly in
    tokens at first and evenly in ln(tokens) later, so dense early and through the change.
    """
    bend = settings.linear_until / batch_tokens
    spaced = np.linspace(0.0, np.log1p(total_steps / bend), settings.count)
    return sorted({round(step) for step in bend * np.expm1(spaced)})


def warmed_up(step: int, warmup_steps: int) -> float:
    """Factor on every learning rate at a step (from 0): a straight rise, then constant."""
    return min(1.0, (step + 1) / (warmup_steps + 1))
