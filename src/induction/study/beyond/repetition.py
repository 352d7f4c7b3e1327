"""Whether more heads bring more learning (Sabry & Belz 2025, arXiv 2509.22947, "Bi-Induct").

The rule is that of reports/beyond.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from induction.study.beyond.experiments import (
    Group,
    Zoo,
    difference,
    have_seeds,
    untouched,
    whole,
)
from induction.study.over_seeds.resampling import Mean
from induction.study.verdicts.verdict import Outcome

EARLIER = -0.3


@dataclass(frozen=True)
class Repeated:
    """group: the seeds with one share of repeated segments. onset: difference of ln(onset) from
    untouched models; weighs: of the share of the ICL gain that goes with the induction heads. Each
    is None where a model has none."""

    share: float
    in_reverse: bool
    group: Group
    onset: Mean | None
    weighs: Mean | None

    @property
    def earlier(self) -> bool:
        return self.onset is not None and self.onset.value < EARLIER and self.onset.high < 0

    @property
    def weighs_less(self) -> bool:
        return self.weighs is not None and self.weighs.high < 0

    @property
    def unknown(self) -> bool:
        """Whether a model has no onset or no induction heads."""
        return self.onset is None or self.weighs is None

    @property
    def excluded(self) -> bool:
        """Whether one of the two can be told not to hold."""
        late = self.onset is not None and self.onset.low > EARLIER
        return late or (self.weighs is not None and self.weighs.low > 0)


@dataclass(frozen=True)
class Repetition:
    outcome: Outcome = "not tested"
    untouched: Group | None = None
    repeated: tuple[Repeated, ...] = ()

    @property
    def groups(self) -> list[Group]:
        """The untouched models, and those with each share; none where it was not asked."""
        return [self.untouched, *(e.group for e in self.repeated)] if self.untouched else []


def repetition(zoo: Zoo) -> Repetition:
    """Ask the first untouched kind that has repeated segments and reversed ones."""
    for kind in untouched(zoo):
        base, found = Group("0%", zoo[kind]), []
        for other, models in zoo.items():
            own = {"repeated_share": other.repeated_share, "repeated": other.repeated}
            if other.repeated_share and kind.model_copy(update=own) == other:
                in_reverse = other.repeated == "reversed"
                found.append(_repeated(other.repeated_share, in_reverse, models, base))
        both = {each.in_reverse for each in found} == {True, False}
        if both and have_seeds([base, *(each.group for each in found)]):
            return Repetition(decide(found), base, tuple(found))
    return Repetition()


def decide(found: Sequence[Repeated]) -> Outcome:
    """The outcome by the rule."""
    same = [each for each in found if not each.in_reverse]
    control = [each for each in found if each.in_reverse]
    clean = not any(each.earlier or each.weighs_less or each.unknown for each in control)
    if clean and any(each.earlier and each.weighs_less for each in same):
        return "supported"
    return "not supported" if all(each.excluded for each in same) else "inconclusive"


def _repeated(share: float, in_reverse: bool, models: tuple, base: Group) -> Repeated:
    group = Group(f"{share:.0%}{', in reverse' if in_reverse else ''}", models)
    return Repeated(
        share, in_reverse, group, difference(group.onsets, base.onsets), _weighs(group, base)
    )


def _weighs(group: Group, base: Group) -> Mean | None:
    own, usual = ([m.removed_share for m in each.models] for each in (group, base))
    return difference(whole(own), whole(usual))
