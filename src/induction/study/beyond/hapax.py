"""Whether the ICL score is copying (Şahin et al. 2025, arXiv 2511.05743, "Hapax").

The rule is that of reports/beyond.md.
"""

from dataclasses import dataclass

import numpy as np

from induction.study.beyond.experiments import (
    Group,
    Zoo,
    have_seeds,
    shared_outcome,
    untouched,
    whole,
)
from induction.study.over_seeds.resampling import Mean, difference_over_seeds
from induction.study.verdicts.verdict import Outcome

MOST_MOVED = 0.1
_DONE = ("all targets", "targets that are not copyable", "as many targets at random")


@dataclass(frozen=True)
class Masked:
    """One architecture: trained on all targets, on those that are not copyable, and on as many at
    random. moved, moved_at_random: relative difference of the ICL score over uncopyable targets of
    the second and the third from the first; None where a window has no such target."""

    outcome: Outcome
    everything: Group
    uncopyable: Group
    random: Group
    moved: Mean | None
    moved_at_random: Mean | None

    @property
    def groups(self) -> tuple[Group, ...]:
        return self.everything, self.uncopyable, self.random


@dataclass(frozen=True)
class Copying:
    outcome: Outcome = "not tested"
    asked: tuple[Masked, ...] = ()

    @property
    def groups(self) -> list[Group]:
        return [group for each in self.asked for group in each.groups]


def is_it_copying(zoo: Zoo) -> Copying:
    """Ask every untouched kind that has a mask."""
    asked = []
    for kind in untouched(zoo):
        masks = [kind.model_copy(update={"trained_on": on}) for on in ("uncopyable", "random")]
        if not any(mask in zoo for mask in masks):
            continue
        groups = [
            Group(done, zoo.get(k, ())) for done, k in zip(_DONE, (kind, *masks), strict=True)
        ]
        if not have_seeds(groups):
            return Copying()
        asked.append(_masked(*groups))
    return Copying(shared_outcome([each.outcome for each in asked]), tuple(asked))


def decide(
    everything: Group,
    uncopyable: Group,
    random: Group,
    moved: Mean | None,
    at_random: Mean | None,
) -> Outcome:
    """The outcome by the rule, of one architecture."""
    if moved is None or at_random is None:
        return "inconclusive"
    outside = moved.low > MOST_MOVED or moved.high < -MOST_MOVED
    if outside or any(model.changed for model in uncopyable.models):
        return "not supported"
    control = all(model.changed for model in (*everything.models, *random.models))
    return "supported" if control and _stays(moved) and _stays(at_random) else "inconclusive"


def _masked(everything: Group, uncopyable: Group, random: Group) -> Masked:
    moved, at_random = (_moved(group, everything) for group in (uncopyable, random))
    outcome = decide(everything, uncopyable, random, moved, at_random)
    return Masked(outcome, everything, uncopyable, random, moved, at_random)


def _moved(group: Group, everything: Group) -> Mean | None:
    own, usual = (whole([m.uncopyable_icl for m in each.models]) for each in (group, everything))
    if own is None or usual is None:
        return None
    # Of its size: the sign stays that of the difference, positive for less learning.
    scale = abs(float(np.mean(usual)))
    return Mean(*(end / scale for end in difference_over_seeds(own, usual)))


def _stays(moved: Mean) -> bool:
    return moved.low >= -MOST_MOVED and moved.high <= MOST_MOVED
