"""Verdicts over seeds, by the rules that reports/preregistration.md wrote down first."""

from dataclasses import replace

from induction.config import Verdicts as Thresholds
from induction.study.over_seeds import arguments
from induction.study.over_seeds.arguments import Onset, Seeds
from induction.study.over_seeds.facts import gather
from induction.study.over_seeds.resampling import holm
from induction.study.over_seeds.verdict import SeedVerdict, decide

__all__ = ["gather", "judge_over_seeds"]

_TITLES = {
    1: "Co-occurrence",
    2: "Co-perturbation",
    3: "Direct ablation",
    5: "Mechanism",
    6: "Extrapolation",
}


def judge_over_seeds(seeds: Seeds, thresholds: Thresholds) -> list[SeedVerdict]:
    """The verdicts on arguments 1, 2, 3, 5 and 6, corrected for their number; none where no kind
    has seeds enough. Argument 1 is inconclusive where the two onset rules disagree about it."""
    if not seeds:
        return []
    found = _judged(seeds, thresholds, lambda s: s.onset_tokens)
    other = _judged(seeds, thresholds, lambda s: s.absolute_onset_tokens)
    if found[0].outcome != other[0].outcome:
        remark = f"By the rule in nats it would be {other[0].outcome}."
        shown = (
            *found[0].shown,
            f"By the relative rule alone it would be {found[0].outcome}.",
            remark,
        )
        found[0] = replace(found[0], outcome="inconclusive", shown=shown)
    return found


def _judged(seeds: Seeds, thresholds: Thresholds, onset: Onset) -> list[SeedVerdict]:
    tested = {
        1: arguments.co_occurrence(seeds, onset),
        2: arguments.co_perturbation(seeds, onset, thresholds),
        3: arguments.ablation(seeds, onset, thresholds),
        5: arguments.mechanism(seeds),
        6: arguments.extrapolation(seeds, onset, thresholds),
    }
    corrected = holm({n: v.p_value for n, v in tested.items() if v and v.p_value is not None})
    return [
        replace(
            verdict,
            corrected=corrected[number],
            outcome=decide(corrected[number], verdict.measures, verdict.conditions),
        )
        if verdict
        else SeedVerdict(number, _TITLES[number], None)
        for number, verdict in tested.items()
    ]
