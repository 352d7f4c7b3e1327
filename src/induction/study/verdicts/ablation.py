"""Argument 3: taking the induction heads out takes the in-context learning away."""

from collections.abc import Sequence

from induction.config import Verdicts as Thresholds
from induction.study.summary import ModelSummary
from induction.study.verdicts.verdict import Check, Verdict, at_least, outcome, settled_by, used


def ablation(summaries: Sequence[ModelSummary], thresholds: Thresholds) -> Verdict:
    """Every model with induction heads and a gain over its one-layer control is asked."""
    checks = [
        check
        for s in summaries
        if s.attribution and s.entry.plain
        for check in (_most_goes(s, thresholds), _others_matter_less(s, thresholds))
        if check
    ]
    return Verdict(
        argument=3,
        title="Direct ablation",
        evidence="causal",
        thresholds=used(thresholds, "min_removed"),
        outcome=outcome(bool(checks), checks),
        checks=tuple(checks),
    )


def _most_goes(s: ModelSummary, thresholds: Thresholds) -> Check:
    assert s.attribution is not None
    removed = s.attribution.induction
    held = at_least((removed.low, removed.high), thresholds.min_removed)
    if held is False and s.cut_off:
        held = None
    return Check(
        kind="induction heads carry the gain",
        question="without its induction heads, most of the ICL gain is gone",
        models=(s.name, s.attribution.control),
        numbers={
            "icl_gain": s.attribution.gain,
            "removed_share": removed.share,
            "removed_low": removed.low,
            "removed_high": removed.high,
        },
        held=held,
        settle=settled_by(held, [s.name] if s.cut_off else []),
    )


def _others_matter_less(s: ModelSummary, thresholds: Thresholds) -> Check | None:
    assert s.attribution is not None
    mean = s.attribution.random_mean
    if mean is None:
        return None
    draws = s.attribution.random
    ends = sum(r.low for r in draws) / len(draws), sum(r.high for r in draws) / len(draws)
    too_much = at_least(ends, thresholds.min_removed)
    held = None if too_much is None else not too_much
    return Check(
        kind="other heads do not",
        question="without as many other heads, most of the ICL gain stays",
        models=(s.name, s.attribution.control),
        numbers={"removed_share": mean, "draws": float(len(s.attribution.random))},
        held=held,
        settle=settled_by(held, [s.name] if s.cut_off else []),
    )
