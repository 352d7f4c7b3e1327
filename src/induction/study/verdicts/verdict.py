"""What a verdict is: the outcome of a rule with every number that it rests on."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from induction.config import Verdicts as Thresholds
from induction.rules.intervals import Interval

Outcome = Literal["supported", "not supported", "inconclusive", "not tested"]
Evidence = Literal["correlational", "interventional", "causal", "plausibility", "analogy"]
Kind = Literal[
    "no change in one layer",
    "some change in more layers",
    "change and heads together",
    "both onset rules agree",
    "change with smeared keys alone",
    "change earlier with smeared keys",
    "induction heads carry the gain",
    "other heads do not",
    "behaviours need induction heads",
    "induction heads look right",
    "circuit as theory says",
    "neighbouring depths are close",
]


@dataclass(frozen=True)
class Check:
    """One condition of a rule: what was asked, of which models, and whether it held.

    kind tells the conditions of a rule apart; question is its wording, for readers alone. held is
    None where it cannot be told: the end of training cut off what was asked about, or an interval
    has the threshold inside. settle then says what would tell.
    """

    kind: Kind
    question: str
    models: tuple[str, ...]
    numbers: dict[str, float | None]
    held: bool | None
    settle: str = ""

    def value(self, name: str) -> float:
        """A number that every check of this kind has."""
        found = self.numbers[name]
        if found is None:
            raise ValueError(f"{self.kind}: {name} is None")
        return found


@dataclass(frozen=True)
class Verdict:
    """The outcome of one argument of the paper.

    outcome is "not tested" when the zoo lacks models that the rule needs, "inconclusive" when no
    check failed and one cannot be told. evidence says how strong a case the outcome can make here.
    thresholds: those of params.yaml that the rule used, by name. Claim and rule in words stand in
    the argument's section of reports/index.qmd, the rule as code in the module of its name.
    """

    argument: int
    title: str
    evidence: Evidence
    thresholds: dict[str, int | float]  # whole ones stay whole when they are read back
    outcome: Outcome
    checks: tuple[Check, ...]

    def checks_of(self, *kinds: Kind) -> list[Check]:
        """The checks that are of these kinds, in their order."""
        return [check for check in self.checks if check.kind in kinds]


def used(thresholds: Thresholds, *names: str) -> dict[str, float]:
    """The thresholds of these names."""
    return {name: getattr(thresholds, name) for name in names}


class Asked(Protocol):
    """Anything that holds, does not, or cannot be told: None."""

    @property
    def held(self) -> bool | None: ...


def outcome(tested: bool, checks: Collection[Asked]) -> Outcome:
    """Supported when every check held; not tested when the rule had nothing to go by.

    A check that failed decides, whatever cannot be told beside it.
    """
    if not tested:
        return "not tested"
    if any(check.held is False for check in checks):
        return "not supported"
    return "supported" if all(check.held for check in checks) else "inconclusive"


def at_least(ends: Interval, threshold: float) -> bool | None:
    """Whether a value with this interval reaches a threshold; None when it lies inside."""
    if ends[0] >= threshold:
        return True
    return False if ends[1] < threshold else None


def more_tokens(*names: str) -> str:
    """What settles a check of models whose training ended inside a change."""
    listed = " and ".join(f"`{name}`" for name in names)
    return f"more training tokens for {listed}: training ended inside a change"


def settled_by(held: bool | None, cut_off: Sequence[str]) -> str:
    """What settles a check that cannot be told, with those of its models that were cut off; nothing
    for one that can."""
    if held is not None:
        return ""
    return more_tokens(*cut_off) if cut_off else MORE_WINDOWS


MORE_WINDOWS = "more windows (`evaluation.examples`) or another seed: the interval is too wide"
