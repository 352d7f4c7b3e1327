"""Argument 1: prefix-matching heads form when in-context learning improves abruptly."""

from collections.abc import Sequence
from math import log

from induction.config import Verdicts as Thresholds
from induction.study.summary import ModelSummary
from induction.study.verdicts.verdict import (
    MORE_WINDOWS,
    Check,
    Verdict,
    more_tokens,
    outcome,
    used,
)


def co_occurrence(summaries: Sequence[ModelSummary], thresholds: Thresholds) -> Verdict:
    """Argument 1: prefix-matching heads form when in-context learning improves abruptly."""
    summaries = [s for s in summaries if s.traced]
    plain = [s for s in summaries if s.entry.plain]
    controls = [s for s in plain if s.entry.n_layers == 1]
    deeper = [s for s in plain if s.entry.n_layers > 1]
    checks = [
        *(_no_change(s) for s in controls),
        _some_change(deeper),
        *(_together(s, thresholds.max_lag) for s in summaries if s not in controls),
        *([_rules_agree(summaries)] if summaries else []),
    ]
    return Verdict(
        argument=1,
        title="Co-occurrence",
        evidence="correlational",
        thresholds=used(thresholds, "max_lag", "head_score"),
        outcome=outcome(bool(controls and deeper), checks),
        checks=tuple(checks),
    )


def _some_change(deeper: Sequence[ModelSummary]) -> Check:
    begun = [s.name for s in deeper if s.cut_off]
    held = True if any(s.change for s in deeper) else None if begun else False
    return Check(
        kind="some change in more layers",
        question="a phase change in at least one plain model of two or more layers",
        models=tuple(s.name for s in deeper),
        numbers={"models_with_change": float(sum(s.change is not None for s in deeper))},
        held=held,
        settle=more_tokens(*begun) if held is None else "",
    )


def _rules_agree(summaries: Sequence[ModelSummary]) -> Check:
    """Where the two rules find changes in different models, the argument rests on the rule."""
    apart = [s.name for s in summaries if (s.change is None) != (s.relative_change is None)]
    listed = ", ".join(f"`{name}`" for name in apart)
    return Check(
        kind="both onset rules agree",
        question="by both onset rules the same models change",
        models=tuple(apart or (s.name for s in summaries)),
        numbers={"models_with_change": float(sum(s.change is not None for s in summaries))},
        held=None if apart else True,
        settle=f"other seeds of {listed}: by one of the two onset rules alone there is a change"
        if apart
        else "",
    )


def _no_change(s: ModelSummary) -> Check:
    neither = s.change is None and s.heads_formed_tokens is None
    return Check(
        kind="no change in one layer",
        question="no phase change and no prefix-matching head in one layer",
        models=(s.name,),
        numbers={
            "onset_tokens": s.change.onset_tokens if s.change else None,
            "max_prefix_matching": s.max_prefix_matching,
        },
        held=None if neither and s.cut_off else neither,
        settle=more_tokens(s.name) if neither and s.cut_off else "",
    )


def _together(s: ModelSummary, max_lag: float) -> Check:
    lag = None
    if s.change and s.heads_formed_tokens:
        lag = _distance(s.heads_formed_tokens, s.change.band_tokens)
    held: bool | None
    if lag is None:  # one of the two alone, or neither
        neither = s.change is None and s.heads_formed_tokens is None
        held, settle = (None, more_tokens(s.name)) if s.cut_off else (neither, "")
    else:
        held, settle = _near(s, lag, max_lag), MORE_WINDOWS
    return Check(
        kind="change and heads together",
        question="phase change and prefix-matching heads together, or neither",
        models=(s.name,),
        numbers={
            "onset_tokens": s.change.onset_tokens if s.change else None,
            "heads_formed_tokens": s.heads_formed_tokens,
            "lag": lag,
        },
        held=held,
        settle=settle if held is None else "",
    )


def _near(s: ModelSummary, lag: float, max_lag: float) -> bool | None:
    """Whether heads formed near enough to the band; None where its start is too uncertain."""
    onset = s.intervals.get("onset_tokens")
    if lag >= 0 or not onset or not s.heads_formed_tokens:
        return abs(lag) <= max_lag
    early, late = (log(s.heads_formed_tokens / start) >= -max_lag for start in onset)
    return early if early == late else None


def _distance(tokens: float, band: tuple[float, float]) -> float:
    """Distance to a band in e-folds: 0 inside it, negative before it."""
    if tokens < band[0]:
        return log(tokens / band[0])
    return max(0.0, log(tokens / band[1]))
