"""Argument 4: the heads that copy random tokens do more abstract things too."""

from collections.abc import Sequence

from induction.config import Verdicts as Thresholds
from induction.study.behaviours import Doing
from induction.study.summary import ModelSummary
from induction.study.verdicts.verdict import Check, Verdict, outcome

MORE_PROMPTS = "more prompts (`behaviours.examples`): an interval has 0 inside"


def generality(summaries: Sequence[ModelSummary], thresholds: Thresholds) -> Verdict:
    """Every model with induction heads that does something abstract is asked: the paper's evidence
    is heads that translate and match patterns, not heads that copy after a similar prefix."""
    checks = [
        _heads_serve(s, thresholds)
        for s in summaries
        if s.kinds.induction and _done(s, ("abstract",), thresholds)
    ]
    return Verdict(
        argument=4,
        title="Generality",
        claim="Heads that are found by how they copy random tokens also do more abstract "
        "in-context learning in larger models: they translate, and match patterns of categories.",
        rule="Asked is every model with induction heads that does something abstract (patterns of "
        "categories, few-shot classification with random or flipped labels, translation): the "
        "lower end of the interval of its accuracy is at least "
        f"{thresholds.above_chance} above chance. "
        "Supported if in each of them, taking out the induction heads, and also their induction "
        "pattern alone, costs more than the same with as many random heads, the intervals of both "
        f"differences above 0, in at least {thresholds.min_behaviours} behaviours beyond literal "
        "copying that it does, an abstract one among them. Inconclusive where that hangs on "
        "differences whose intervals have 0 inside.",
        evidence="plausibility",
        paper_strength="plausibility, for large models only",
        would_change="A model that does such tasks: induction heads that it needs for them would "
        "support the claim, others doing that work would not.",
        outcome=outcome(bool(checks), checks),
        checks=tuple(checks),
    )


def _heads_serve(s: ModelSummary, thresholds: Thresholds) -> Check:
    beyond = _done(s, ("loose", "abstract"), thresholds)
    served = {doing.behaviour for doing in beyond if doing.needs_induction}
    held: bool | None = _enough([d for d in beyond if d.needs_induction], thresholds)
    if not held and _enough([d for d in beyond if d.may_need_induction], thresholds):
        held = None
    return Check(
        question="what it does beyond literal copying, it does with its induction heads",
        models=(s.name,),
        numbers={
            "behaviours_done": float(len({doing.behaviour for doing in beyond})),
            "behaviours_served": float(len(served)),
        },
        held=held,
        settle=MORE_PROMPTS if held is None else "",
    )


def _enough(served: Sequence[Doing], thresholds: Thresholds) -> bool:
    abstract = any(doing.kind == "abstract" for doing in served)
    return abstract and len({d.behaviour for d in served}) >= thresholds.min_behaviours


def _done(s: ModelSummary, kinds: Sequence[str], thresholds: Thresholds) -> list[Doing]:
    return [d for d in s.behaviours if d.kind in kinds and d.does(thresholds)]
