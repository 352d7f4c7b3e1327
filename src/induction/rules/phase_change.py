"""The rule that says whether, when and how far a model's in-context learning changed abruptly.

The rule, the same for every model: fit a straight line to the ICL score over ln(tokens) around
each point of a fine grid (Gaussian weights of width `bandwidth`). Where the fitted score falls
fastest, its slope must reach `min_slope`. The band is the stretch around that point in which the
slope stays above `band_fraction` of its peak, and the fitted score must fall by `min_drop` inside
it. Onset is where the band starts. Otherwise there is no phase change.

The paper reads its band off the derivative of the ICL score without giving a rule (Argument 1).
"""

from dataclasses import dataclass

import numpy as np

from induction.config import PhaseChange as Rule

_GRID_POINTS = 400


@dataclass(frozen=True)
class PhaseChange:
    """An abrupt change: where it lies and how far the ICL score fell inside it.

    onset_tokens equals the start of the band. drop is in nats (positive), slope in nats per
    e-fold of tokens (positive, at its peak). share: the drop as a share of the fall from the first
    snapshot that is looked at to the last; above 1 where the score rises elsewhere, None where it
    ends no lower than it began. complete is false when the band runs into the last
    snapshot, so that its end is the end of training and not of the change.
    """

    onset_tokens: float
    band_tokens: tuple[float, float]
    drop: float
    slope: float
    share: float | None
    complete: bool


@dataclass(frozen=True)
class Smoother:
    """Local straight-line fits as two matrices that take scores at snapshots to a grid.

    x: [grid], ln(tokens). level, slope: [grid, snapshots].
    """

    x: np.ndarray
    level: np.ndarray
    slope: np.ndarray


def make_smoother(
    tokens: np.ndarray, bandwidth: float, places: np.ndarray | None = None
) -> Smoother:
    """Weighted least squares of a straight line over ln(tokens) around each of the places.

    places: [grid], in tokens, within those of the snapshots; None gives a fine even grid over
    ln(tokens).

    Where snapshots are sparser than the bandwidth, the width grows until three of them carry
    weight, so that no slope rests on a single pair.
    """
    at = np.log(tokens)
    x = np.linspace(at[0], at[-1], _GRID_POINTS) if places is None else np.log(places)
    offset = at[None, :] - x[:, None]
    third_nearest = np.sort(np.abs(offset), axis=1)[:, min(2, len(at) - 1)]
    width = np.maximum(bandwidth, third_nearest)[:, None]
    weight = np.exp(-0.5 * (offset / width) ** 2)
    weight /= weight.sum(axis=1, keepdims=True)
    mean = (weight * offset).sum(axis=1, keepdims=True)
    spread = (weight * (offset - mean) ** 2).sum(axis=1, keepdims=True)
    slope = weight * (offset - mean) / spread
    return Smoother(x, weight - mean * slope, slope)


def find_phase_change(tokens: np.ndarray, score: np.ndarray, rule: Rule) -> PhaseChange | None:
    """Apply the rule to one curve.

    tokens, score: [snapshots], tokens ascending, score in nats (late − early; negative is better).
    Returns None when there is no phase change, as with fewer than four snapshots to look at.
    """
    seen = tokens >= rule.min_tokens
    if seen.sum() < 4:
        return None
    return _apply(make_smoother(tokens[seen], rule.bandwidth), score[seen], rule)


def _apply(smoother: Smoother, score: np.ndarray, rule: Rule) -> PhaseChange | None:
    change = describe_change(smoother, score, rule)
    return change if change.slope >= rule.min_slope and change.drop >= rule.min_drop else None


def describe_change(smoother: Smoother, score: np.ndarray, rule: Rule) -> PhaseChange:
    """The stretch in which a score [snapshots] falls fastest, abrupt or not."""
    fall = -(smoother.slope @ score)
    peak = int(fall.argmax())
    start, end = around_peak(fall, rule.band_fraction)
    level = smoother.level @ score
    drop = float(level[start] - level[end])
    first, last = float(np.exp(smoother.x[start])), float(np.exp(smoother.x[end]))
    whole = float(level[0] - level[-1])
    return PhaseChange(
        onset_tokens=first,
        band_tokens=(first, last),
        drop=drop,
        slope=float(fall[peak]),
        share=drop / whole if whole > 0 else None,
        complete=end < len(fall) - 1,
    )


def around_peak(rate: np.ndarray, fraction: float) -> tuple[int, int]:
    """First and last place of the stretch around the peak in which a rate [places] stays at or
    above a fraction of it."""
    peak = int(rate.argmax())
    below = np.flatnonzero(rate < fraction * rate[peak])
    start = int(below[below < peak].max(initial=-1)) + 1
    end = int(below[below > peak].min(initial=len(rate))) - 1
    return start, end


def onset_interval(
    tokens: np.ndarray, early: np.ndarray, late: np.ndarray, rule: Rule, resamples: int, seed: int
) -> tuple[float, float] | None:
    """95 % interval of the onset from a bootstrap over evaluation examples, in tokens.

    early, late: [snapshots, examples], mean losses over the two windows. None when fewer than
    95 % of the resamples show a phase change at all.
    """
    seen = tokens >= rule.min_tokens
    if seen.sum() < 4:
        return None
    smoother = make_smoother(tokens[seen], rule.bandwidth)
    difference = (late - early)[seen]
    random = np.random.default_rng(seed)
    onsets = []
    for _ in range(resamples):
        drawn = random.integers(difference.shape[1], size=difference.shape[1])
        change = _apply(smoother, difference[:, drawn].mean(axis=1), rule)
        if change:
            onsets.append(change.onset_tokens)
    if len(onsets) < 0.95 * resamples:
        return None
    low, high = np.quantile(onsets, [0.025, 0.975])
    return float(low), float(high)


def first_crossing(tokens: np.ndarray, score: np.ndarray, threshold: float) -> float | None:
    """Tokens at which a rising score first reaches a threshold, or None.

    Between two snapshots it is interpolated in ln(tokens); a threshold reached by the first
    snapshot with tokens > 0 gives that snapshot.
    """
    seen = tokens > 0
    tokens, score = tokens[seen], score[seen]
    above = np.flatnonzero(score >= threshold)
    if not len(above):
        return None
    k = int(above[0])
    if k == 0:
        return float(tokens[0])
    share = (threshold - score[k - 1]) / (score[k] - score[k - 1])
    x = np.log(tokens)
    return float(np.exp(x[k - 1] + share * (x[k] - x[k - 1])))
