"""Argument 4: the heads that copy random tokens do more abstract things too."""

from collections.abc import Sequence

from induction.config import Verdicts as Thresholds
from induction.study.behaviours import TaskResult
from induction.study.summary import ModelSummary
from induction.study.verdicts.verdict import Check, Verdict, outcome, used

MORE_PROMPTS = "more prompts (`behaviours.examples`): an interval has chance inside"


def generality(summaries: Sequence[ModelSummary], thresholds: Thresholds) -> Verdict:
    """Every model with induction heads that does something abstract is asked: the paper's evidence
    is heads that translate and match patterns, not heads that copy after a similar prefix."""
    asked = [s for s in summaries if s.kinds.induction and _done(s, ("abstract",), thresholds)]
    checks = [check for s in asked for check in (_needed(s, thresholds), _looking(s, thresholds))]
    return Verdict(
        argument=4,
        title="Generality",
        evidence="plausibility",
        thresholds=used(thresholds, "above_chance", "min_behaviours"),
        outcome=outcome(bool(checks), checks),
        checks=tuple(checks),
    )


def _needed(s: ModelSummary, thresholds: Thresholds) -> Check:
    beyond = _done(s, ("loose", "abstract"), thresholds)
    served = {result.behaviour for result in beyond if result.needs_induction}
    held: bool | None = _enough([d for d in beyond if d.needs_induction], thresholds)
    if not held and _enough([d for d in beyond if d.may_need_induction], thresholds):
        held = None
    return Check(
        kind="behaviours need induction heads",
        question="what it does beyond literal copying, it does with its induction heads",
        models=(s.name,),
        numbers={
            "behaviours_done": float(len({result.behaviour for result in beyond})),
            "behaviours_served": float(len(served)),
        },
        held=held,
        settle=MORE_PROMPTS if held is None else "",
    )


def _looking(s: ModelSummary, thresholds: Thresholds) -> Check:
    """Judged on what it needs the heads for; told by the variant in which they look best."""
    done = [d for d in _done(s, ("abstract",), thresholds) if d.looks]
    needed = [d for d in done if d.needs_induction] or [d for d in done if d.may_need_induction]
    judged = needed or done  # where it needs them for nothing, the other check says so
    outcomes = [d.looks.looks_right() for d in judged if d.looks]
    held = True if True in outcomes else None if None in outcomes else False
    best = max((d.looks for d in judged if d.looks), key=lambda looks: looks.low, default=None)
    return Check(
        kind="induction heads look right",
        question="there, its induction heads attend to the right places",
        models=(s.name,),
        numbers={
            "right_share": best and best.share,
            "right_share_low": best and best.low,
            "over_random_low": best and best.over_random and best.over_random[0],
            "over_shuffled_low": best and best.over_shuffled and best.over_shuffled[0],
        },
        held=held,
        settle=MORE_PROMPTS if held is None else "",
    )


def _enough(served: Sequence[TaskResult], thresholds: Thresholds) -> bool:
    abstract = any(result.kind == "abstract" for result in served)
    return abstract and len({d.behaviour for d in served}) >= thresholds.min_behaviours


def _done(s: ModelSummary, kinds: Sequence[str], thresholds: Thresholds) -> list[TaskResult]:
    return [d for d in s.behaviours if d.kind in kinds and d.does(thresholds)]
