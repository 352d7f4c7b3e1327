"""The relative rule for a phase change, which no unit of the ICL score enters.

With other windows the ICL score is another number of nats, and so is what `phase_change` asks for.
This rule asks for a fall within one e-fold of tokens, relative to two things that change with the
windows in the same way: the score's whole fall in training (`min_share` of it), and its noise from
snapshot to snapshot (`min_signal` times as much). Where the fastest fall lies, and so the onset, is
found as by the absolute rule. How the two numbers were fixed: reports/preregistration.md.
"""

from dataclasses import dataclass

import numpy as np

from induction.config import PhaseChange as Rule
from induction.rules.phase_change import PhaseChange, Smoother, describe_change, make_smoother

_SHORTEST = np.exp(2)


@dataclass(frozen=True)
class RelativeFall:
    """The greatest fall of the smoothed score within one e-fold of tokens: as a share of its
    greatest fall between any two moments, and in standard deviations of its noise."""

    share: float
    signal: float


def relative_fall(tokens: np.ndarray, score: np.ndarray, rule: Rule) -> RelativeFall | None:
    """The fall of one curve, as in `find_phase_change`; None for a score that falls nowhere or has
    no noise, and with fewer than four snapshots to look at or less than two e-folds of tokens: in
    a training that short, everything lies within one e-fold."""
    smoothed = _smoothed(tokens, score, rule)
    return smoothed and _fall(*smoothed)


def find_relative_change(tokens: np.ndarray, score: np.ndarray, rule: Rule) -> PhaseChange | None:
    """The phase change by this rule, described as by `find_phase_change`; None without one."""
    smoothed = _smoothed(tokens, score, rule)
    fall = smoothed and _fall(*smoothed)
    if not smoothed or not fall:
        return None
    enough = fall.share >= rule.min_share and fall.signal >= rule.min_signal
    return describe_change(*smoothed, rule) if enough else None


def _smoothed(
    tokens: np.ndarray, score: np.ndarray, rule: Rule
) -> tuple[Smoother, np.ndarray] | None:
    """The smoother and the score of the snapshots that are looked at; None where there is too
    little to see."""
    seen = tokens >= rule.min_tokens
    enough = seen.sum() >= 4 and tokens[-1] >= _SHORTEST * tokens[seen][0]
    return (make_smoother(tokens[seen], rule.bandwidth), score[seen]) if enough else None


def _fall(smoother: Smoother, score: np.ndarray) -> RelativeFall | None:
    level = smoother.level @ score
    whole = float((np.maximum.accumulate(level) - level).max())
    within = max(float((level[:-shift] - level[shift:]).max()) for shift in _shifts(smoother.x))
    # A straight line drops out of second differences, whatever it falls by.
    noise = float(np.diff(score, n=2).std() / np.sqrt(6))
    if whole <= 0 or noise <= 0:
        return None
    return RelativeFall(within / whole, within / noise)


def _shifts(x: np.ndarray) -> range:
    """Distances on the grid [grid] of up to one e-fold."""
    step = (x[-1] - x[0]) / (len(x) - 1)
    return range(1, min(len(x) - 1, int(1 / step)) + 1)
