"""Which part of the induction circuit the change waits for (Singh et al. 2024, arXiv 2404.07129).

The rule is that of reports/beyond.md.
"""

import math
from dataclasses import dataclass

from induction.study.beyond.experiments import Group, Zoo, have_seeds, untouched
from induction.study.verdicts.verdict import Outcome

ADVANCE = 0.5
SINGLE = ("previous-token", "induction")
ALL = (*SINGLE, "both", "forbidden")


@dataclass(frozen=True)
class Clamped:
    """group: the seeds with one clamp. advances: of each, in e-folds, over the untouched model of
    its seed; None without a complete change of both."""

    clamp: str
    group: Group
    advances: tuple[float | None, ...]

    @property
    def early(self) -> list[bool]:
        return [advance is not None and advance >= ADVANCE for advance in self.advances]


@dataclass(frozen=True)
class Bottleneck:
    """found: the clamp that advances the onset alone, where the rule names one."""

    outcome: Outcome = "not tested"
    found: str | None = None
    untouched: Group | None = None
    clamped: tuple[Clamped, ...] = ()

    @property
    def groups(self) -> list[Group]:
        """The untouched models, and those with each clamp; none where it was not asked."""
        return [self.untouched, *(e.group for e in self.clamped)] if self.untouched else []


def bottleneck(zoo: Zoo) -> Bottleneck:
    """Ask the first untouched kind that has all clamps."""
    for kind in untouched(zoo):
        kinds = {clamp: kind.model_copy(update={"clamp": clamp}) for clamp in ALL}
        base = Group("none", zoo[kind])
        groups = [Group(clamp, zoo.get(each, ())) for clamp, each in kinds.items()]
        if have_seeds([base, *groups]):
            clamped = tuple(_clamped(group.done, group, base) for group in groups)
            outcome, found = decide({c.clamp: c.early for c in clamped})
            if base.onsets is None:
                outcome, found = "inconclusive", None
            return Bottleneck(outcome, found, base, clamped)
    return Bottleneck()


def decide(early: dict[str, list[bool]]) -> tuple[Outcome, str | None]:
    """The outcome by the rule, and the clamp that it names. early: clamp → for each seed, whether
    its onset comes earlier by as much as is asked."""
    always = [clamp for clamp in SINGLE if all(early[clamp])]
    sometimes = [clamp for clamp in SINGLE if any(early[clamp])]
    if not sometimes:
        return "not supported", None
    if len(always) == 1 and sometimes == always:
        return "supported", always[0]
    return "inconclusive", None


def _clamped(clamp: str, group: Group, base: Group) -> Clamped:
    usual = {model.seed: model.onset_tokens for model in base.models}
    advances = []
    for model in group.models:
        before, own = usual.get(model.seed), model.onset_tokens
        advances.append(math.log(before / own) if before and own else None)
    return Clamped(clamp, group, tuple(advances))
