"""What the explorer and its static counterpart say of the passages: losses, first view, text."""

from dataclasses import dataclass

import numpy as np

from induction.explore.store import Explored, OnPassages, load_explored
from induction.report.results import Results
from induction.report.text import short_tokens
from induction.rules.head_kinds import Head
from induction.rules.phase_change import make_smoother
from induction.study.heads import of_heads
from induction.study.kinds import find_kinds


@dataclass(frozen=True)
class LossChange:
    """How far the loss of each token of the passages moved while a model was trained.

    values: [passages, length], in nats, negative is better; the first token of a passage is never
    predicted and is NaN. tokens: from where to where in training. why: what this stretch is, in
    words that follow it.
    """

    values: np.ndarray
    tokens: tuple[float, float]
    why: str

    @property
    def stretch(self) -> str:
        """The stretch and its reason, as in "2.78M to 5.02M tokens, its phase change"."""
        return (
            f"{short_tokens(self.tokens[0])} to {short_tokens(self.tokens[1])} tokens, {self.why}"
        )


@dataclass(frozen=True)
class View:
    """What is chosen in the explorer. picked counts the model's kept patterns, all from 0."""

    model: str
    picked: int
    head: Head
    passage: int
    token: int


def explored(results: Results) -> Explored:
    """What the study's own models do on the passages, the first seed of each kind: more would make
    the page too large to open. StudyError as `load_explored`."""
    return load_explored(results.paths.explorer, find_kinds(results.config.models))


def loss_change(results: Results, name: str, found: OnPassages) -> LossChange:
    """Change of every token's loss across the model's band.

    A model without a band is compared over that of the first model that has one; where there is
    none, or training stopped before its end, over all of training. Losses are smoothed over
    ln(tokens) as the ICL score is by the rule of the phase change.
    """
    rule = results.config.phase_change
    seen = found.tokens >= rule.min_tokens
    if seen.sum() < 4:  # too few to smooth
        first, last = float(found.tokens[0]), float(found.tokens[-1])
        ends = found.losses[[0, -1]]
        return LossChange(_change(ends), (first, last), "all of its training")
    tokens = found.tokens[seen]
    stretch, why = _stretch(results, name, float(tokens[0]), float(tokens[-1]))
    level = make_smoother(tokens, rule.bandwidth, np.array(stretch)).level
    return LossChange(_change(np.tensordot(level, found.losses[seen], 1)), stretch, why)


def _change(ends: np.ndarray) -> np.ndarray:
    """Losses at two moments [2, passages, length − 1] → their change [passages, length]."""
    return np.pad(ends[1] - ends[0], [(0, 0), (1, 0)], constant_values=np.nan)


def _stretch(
    results: Results, name: str, first: float, last: float
) -> tuple[tuple[float, float], str]:
    for other in (name, *results.config.models):
        band = results.models[other].band_tokens
        if band and first <= band[0] and band[1] <= last:
            others = f"the phase change of {other}, as it has none"
            return band, "its phase change" if other == name else others
    return (first, last), "all of its training"


def best_head(results: Results, name: str) -> Head:
    """The head of highest prefix matching at the end of training: of the induction heads where the
    model has some, else of all."""
    induction = results.models[name].kinds.induction
    heads = results.curves[name].last_heads
    heads = heads.sort("prefix_matching", descending=True, nulls_last=True)
    best = heads.filter(of_heads(induction)) if induction else heads
    return tuple(best.select("layer", "head").row(0))


def first_view(results: Results, everything: Explored) -> View:
    """The best induction head of the first model that has one, at its last snapshot, and the token
    from which it helps most.

    How much a head helps from a token is how far the loss of the next token fell, times the
    attention that goes to earlier copies of that next token.
    """
    with_heads = results.with_induction_heads
    name = next((m for m in everything.models if m in with_heads), next(iter(everything.models)))
    found, head = everything.models[name], best_head(results, name)
    picked = len(found.picked) - 1
    fall = np.maximum(0, -loss_change(results, name, found).values[:, 1:])
    help_ = np.stack(
        [
            _on_copies(np.array(passage.ids), found.attention(picked, number, *head))
            for number, passage in enumerate(everything.passages)
        ]
    )
    passage, token = np.unravel_index(int((help_ * fall).argmax()), fall.shape)
    return View(name, picked, head, int(passage), int(token))


def _on_copies(ids: np.ndarray, attention: np.ndarray) -> np.ndarray:
    """Attention from each token but the last to copies of the token after it: [length − 1]."""
    copies = ids[None, :] == ids[1:, None]
    return (attention[:-1] * copies).sum(axis=1)


def color_limit(changes: list[np.ndarray]) -> float:
    """End of the colour scale for changes of loss: nearly all lie within, in half nats."""
    values = np.abs(np.concatenate([change[:, 1:].ravel() for change in changes]))
    return max(0.5, float(np.ceil(2 * np.quantile(values, 0.98)) / 2))


def visible(text: str) -> str:
    """A token's text on one line with nothing in it that cannot be seen: breaks and tabs as ⏎ and
    →, other control characters as U+FFFD, spaces as · in a token that is nothing but space."""
    shown = "".join(c if c.isprintable() else {"\n": "⏎", "\t": "→"}.get(c, "\ufffd") for c in text)
    return (shown if text.strip() else shown.replace(" ", "·")) or "\ufffd"
