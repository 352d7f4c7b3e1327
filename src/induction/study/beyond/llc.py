"""Whether the local learning coefficient turns where a model changes.

Hoogland et al. 2024 (arXiv 2402.02364) divide training at the critical points of the coefficient.
The rule is that of reports/beyond.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from induction.config import Model, StudyConfig
from induction.files import verify_folder
from induction.files.tables import read_arrays
from induction.paths import StudyPaths
from induction.rules.phase_change import make_smoother
from induction.study.summary import ModelSummary
from induction.study.verdicts.verdict import Outcome

MIN_SPREADS = 3.0
MOST_OF_RANGE = 0.1
_MIN_SNAPSHOTS = 4


@dataclass(frozen=True)
class Coefficients:
    """λ̂ of one model over training. tokens: [snapshots]. llc: [snapshots, chains]. loss: that of
    the snapshots on the windows of each chain, [snapshots, chains], in nats a token."""

    tokens: np.ndarray
    llc: np.ndarray
    loss: np.ndarray


@dataclass(frozen=True)
class Turns:
    """Where λ̂ of one model turns.

    boundaries: tokens of the extrema that count. spread: standard deviation between chains, pooled
    over the snapshots. range: from the least to the greatest smoothed λ̂. last: λ̂ at the end of
    training. gap: between the snapshots on both sides of the onset, in e-folds; None without an
    onset between snapshots.
    """

    model: str
    boundaries: tuple[float, ...]
    spread: float
    range: float
    last: float
    onset_tokens: float | None = None
    gap: float | None = None

    @property
    def chains_agree(self) -> bool:
        return self.spread <= MOST_OF_RANGE * self.range

    def nearest(self, tokens: float) -> float | None:
        """Distance of the nearest boundary from a moment, in e-folds; positive when it is later."""
        distances = [float(np.log(boundary / tokens)) for boundary in self.boundaries]
        return min(distances, key=abs, default=None)

    def turns_near(self, tokens: float, distance: float) -> bool:
        nearest = self.nearest(tokens)
        return nearest is not None and abs(nearest) <= distance


@dataclass(frozen=True)
class Geometry:
    """asked: plain models with a change whose end is seen. beside: plain one-layer models without
    a change. Both only where λ̂ was sampled."""

    outcome: Outcome
    asked: tuple[Turns, ...] = ()
    beside: tuple[Turns, ...] = ()


def load_coefficients(paths: StudyPaths, model: str) -> Coefficients:
    """Read and verify what stage llc wrote of a model.

    Raises StudyError for what is wrong.
    """
    verify_folder(paths.llc(model))
    arrays = read_arrays(paths.llc(model) / "losses.npz", ("tokens", "llc", "loss"))
    return Coefficients(arrays["tokens"], arrays["llc"], arrays["loss"])


def load_all_coefficients(paths: StudyPaths, config: StudyConfig) -> dict[str, Coefficients]:
    """Those of the models that were sampled. Raises StudyError as `load_coefficients`."""
    return {name: load_coefficients(paths, name) for name in config.llc.models}


def geometry(
    summaries: Sequence[ModelSummary],
    coefficients: Mapping[str, Coefficients],
    config: StudyConfig,
) -> Geometry:
    """Ask every plain model of ours that has a change and was sampled, with one-layer models beside
    them."""
    min_tokens, distance = config.phase_change.min_tokens, config.verdicts.max_lag
    seen = {
        name: own
        for name, own in coefficients.items()
        if (own.tokens >= min_tokens).sum() >= _MIN_SNAPSHOTS
    }
    ours = [s for s in summaries if isinstance(s.entry, Model) and s.entry.plain and s.name in seen]
    changed = [s for s in ours if s.change and s.change.complete]
    flat = [s for s in ours if not s.change and s.entry.n_layers == 1]
    asked, beside = (
        tuple(find_turns(s.name, seen[s.name], min_tokens, distance, s.onset_tokens) for s in group)
        for group in (changed, flat)
    )
    return Geometry(decide(asked, beside, distance), asked, beside)


def find_turns(
    model: str, own: Coefficients, min_tokens: float, bandwidth: float, onset: float | None
) -> Turns:
    """The extrema of smoothed λ̂ over ln(tokens) that stand out from the spread between chains.

    min_tokens: earlier snapshots are not looked at; at least four must be left. bandwidth: in
    e-folds.
    """
    looked_at = own.tokens >= min_tokens
    tokens, llc = own.tokens[looked_at], own.llc[looked_at]
    spread = float(np.sqrt(llc.var(axis=1, ddof=1).mean()))
    smoother = make_smoother(tokens, bandwidth)
    curve = smoother.level @ llc.mean(axis=1)
    places = sorted(
        int(place)
        for sign in (1, -1)
        for place in find_peaks(sign * curve, prominence=MIN_SPREADS * spread)[0]
    )
    after = int(np.searchsorted(tokens, onset)) if onset else 0
    return Turns(
        model=model,
        boundaries=tuple(float(np.exp(smoother.x[place])) for place in places),
        spread=spread,
        range=float(np.ptp(curve)),
        last=float(llc[-1].mean()),
        onset_tokens=onset,
        gap=float(np.log(tokens[after] / tokens[after - 1])) if 0 < after < len(tokens) else None,
    )


def decide(asked: Sequence[Turns], beside: Sequence[Turns], distance: float) -> Outcome:
    """The outcome by the rule. distance: in e-folds, of a boundary that counts as near."""
    fine = all(turns.gap is not None and turns.gap <= distance for turns in asked)
    if not (asked and beside and fine):
        return "not tested"
    if not all(turns.chains_agree for turns in (*asked, *beside)):
        return "inconclusive"
    onsets = [turns.onset_tokens for turns in asked if turns.onset_tokens]
    with_onset = zip(asked, onsets, strict=True)
    missed = any(not turns.turns_near(onset, distance) for turns, onset in with_onset)
    shared = any(turns.turns_near(onset, distance) for turns in beside for onset in onsets)
    if missed or shared:
        return "not supported"
    return "inconclusive" if any(turns.boundaries for turns in beside) else "supported"
