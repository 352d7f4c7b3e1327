"""Verdicts over seeds, by the rules that reports/preregistration.md wrote down first."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from statistics import median

import numpy as np

from induction.config import PhaseChange as Rule
from induction.config import Verdicts as Thresholds
from induction.rules.curves import Curves
from induction.study.kinds import kind_label
from induction.study.over_seeds import arguments
from induction.study.over_seeds.arguments import Onset, Seeds
from induction.study.over_seeds.bumps import MeanBump, mean_bump
from induction.study.over_seeds.facts import gather
from induction.study.over_seeds.resampling import holm
from induction.study.over_seeds.verdict import TITLES, SeedVerdict, decide

__all__ = ["MeanBump", "OverSeeds", "SeedVerdict", "gather", "judge_over_seeds", "mean_bumps"]


@dataclass(frozen=True)
class OverSeeds:
    """All that was found over seeds, as seeds.json has it."""

    verdicts: list[SeedVerdict]
    bumps: list[MeanBump]


def judge_over_seeds(seeds: Seeds, thresholds: Thresholds) -> list[SeedVerdict]:
    """The verdicts on arguments 1, 2, 3, 5 and 6, corrected for their number; none where no kind
    has seeds enough. Argument 1 is inconclusive where the two onset rules disagree about it."""
    if not seeds:
        return []
    found = _judged(seeds, thresholds, lambda s: s.relative_onset_tokens)
    other = _judged(seeds, thresholds, lambda s: s.onset_tokens)
    if found[0].outcome != other[0].outcome:
        remark = f"By the absolute rule it would be {other[0].outcome}."
        shown = (
            *found[0].shown,
            f"By the relative rule alone it would be {found[0].outcome}.",
            remark,
        )
        found[0] = replace(found[0], outcome="inconclusive", shown=shown)
    return found


def mean_bumps(seeds: Seeds, curves: Mapping[str, Curves], rule: Rule, seed: int) -> list[MeanBump]:
    """The mean loss of every kind that changes: its bump, or the smallest that would be seen."""
    found = []
    for members in seeds.values():
        onsets = [s.relative_onset_tokens for s in members if s.relative_onset_tokens]
        own = [curves[s.name] for s in members]
        if onsets and all(np.array_equal(each.tokens, own[0].tokens) for each in own):
            label, losses = kind_label([s.name for s in members]), np.array([c.loss for c in own])
            found.append(mean_bump(label, own[0].tokens, losses, median(onsets), rule, seed))
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
        else SeedVerdict(number, TITLES[number], None)
        for number, verdict in tested.items()
    ]
