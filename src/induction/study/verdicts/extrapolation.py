"""Argument 6: what holds for small models varies smoothly with size, so it may hold for large."""

from collections.abc import Sequence
from itertools import pairwise
from math import log

from induction.config import Verdicts as Thresholds
from induction.rules.intervals import Interval
from induction.study.summary import ModelSummary
from induction.study.verdicts.verdict import (
    Check,
    Verdict,
    at_least,
    outcome,
    settled_by,
    used,
)


def extrapolation(summaries: Sequence[ModelSummary], thresholds: Thresholds) -> Verdict:
    """Neighbouring depths of the plain attention-only series are compared; seeds do not count."""
    series = {
        s.entry.n_layers: s
        for s in reversed(summaries)
        if s.entry.attn_only and s.entry.plain and s.change
    }
    depths = sorted(series)
    checks = [_close(series[small], series[large], thresholds) for small, large in pairwise(depths)]
    enough = len(depths) >= thresholds.min_depths
    return Verdict(
        argument=6,
        title="Extrapolation",
        evidence="analogy",
        thresholds=used(thresholds, "min_depths", "max_lag", "max_icl_step"),
        outcome=outcome(enough, checks),
        checks=tuple(checks),
    )


def _close(small: ModelSummary, large: ModelSummary, thresholds: Thresholds) -> Check:
    assert small.change is not None
    assert large.change is not None
    shift = log(large.change.onset_tokens / small.change.onset_tokens)
    step = large.icl_score - small.icl_score
    beyond = (
        at_least(_size(_shift_interval(small, large) or (shift, shift)), thresholds.max_lag),
        at_least(_size(small.icl_gains.get(large.name, (step, step))), thresholds.max_icl_step),
    )
    cut_off = [s.name for s in (small, large) if s.cut_off]
    held = True
    if True in beyond:
        held = None if cut_off else False
    elif None in beyond:
        held = None
    return Check(
        kind="neighbouring depths are close",
        question="onset and ICL score change little from one depth to the next",
        models=(small.name, large.name),
        numbers={"onset_step": shift, "icl_step": step},
        held=held,
        settle=settled_by(held, cut_off),
    )


def _shift_interval(small: ModelSummary, large: ModelSummary) -> Interval | None:
    """From the least to the greatest shift of the onset that both models' intervals allow."""
    a, b = small.intervals.get("onset_tokens"), large.intervals.get("onset_tokens")
    return (log(b[0] / a[1]), log(b[1] / a[0])) if a and b else None


def _size(ends: Interval) -> Interval:
    """The least and the greatest absolute value in an interval."""
    sizes = sorted(abs(end) for end in ends)
    return (0.0 if ends[0] <= 0 <= ends[1] else sizes[0]), sizes[1]
