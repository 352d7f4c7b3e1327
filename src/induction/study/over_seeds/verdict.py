"""What a test over seeds finds: measures with intervals, conditions, a p-value and an outcome."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from induction.study.over_seeds.resampling import Mean
from induction.study.verdicts.verdict import Outcome

LEVEL = 0.05
"""Of the p-values, after Holm's correction over the arguments."""
TITLES = {
    1: "Co-occurrence",
    2: "Co-perturbation",
    3: "Direct ablation",
    5: "Mechanism",
    6: "Extrapolation",
}
"""Of the arguments that are tested over seeds, by their numbers."""


@dataclass(frozen=True)
class Measure:
    """A number over seeds: its mean, share or difference, with the interval and what that is over.

    beyond: whether the interval lies wholly on the side that speaks against the argument.
    """

    name: str
    value: float
    low: float
    high: float
    over: str
    beyond: bool = False


@dataclass(frozen=True)
class SideCondition:
    """What must hold beside the test, in words, with what was found; held is None where it cannot
    be told."""

    question: str
    found: str
    held: bool | None


@dataclass(frozen=True)
class SeedVerdict:
    """The outcome of one argument over seeds, by the rules of reports/preregistration.md.

    seeds: the least and the greatest number of seeds of the kinds that were asked. p_value: the
    greatest of the argument's tests, one-sided; corrected: by Holm over the arguments. shown: what
    was looked at beside it and decides nothing.
    """

    argument: int
    title: str
    seeds: tuple[int, int] | None
    measures: tuple[Measure, ...] = ()
    conditions: tuple[SideCondition, ...] = ()
    p_value: float | None = None
    corrected: float | None = None
    outcome: Outcome = "not tested"
    shown: tuple[str, ...] = field(default=())


def measure(name: str, mean: Mean, over: str, *, beyond: bool = False) -> Measure:
    return Measure(name, *mean, over=over, beyond=beyond)


def decide(
    p_corrected: float | None, measures: Sequence[Measure], conditions: Sequence[SideCondition]
) -> Outcome:
    """The outcome by the preregistered rules."""
    if p_corrected is None:
        return "not tested"
    if any(m.beyond for m in measures) or any(c.held is False for c in conditions):
        return "not supported"
    sure = p_corrected < LEVEL and all(c.held for c in conditions)
    return "supported" if sure else "inconclusive"
