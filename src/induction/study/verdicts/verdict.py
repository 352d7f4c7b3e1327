"""What a verdict is: the outcome of a rule with every number that it rests on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["supported", "not supported", "inconclusive", "not tested"]
Interval = tuple[float, float]
Evidence = Literal["correlational", "interventional", "causal", "plausibility", "analogy"]


@dataclass(frozen=True)
class Check:
    """One condition of a rule: what was asked, of which models, and whether it held.

    held is None where that cannot be told: the end of training cut off what was asked about, or an
    interval has the threshold inside. settle then says what would tell.
    """

    question: str
    models: tuple[str, ...]
    numbers: dict[str, float | None]
    held: bool | None
    settle: str = ""


@dataclass(frozen=True)
class Verdict:
    """The outcome of one argument of the paper.

    outcome is "not tested" when the zoo lacks models that the rule needs, "inconclusive" when no
    check failed and one cannot be told. evidence says how strong
    a case the outcome can make here; paper_strength, what the paper itself claims for it;
    would_change, what result would turn the outcome around.
    """

    argument: int
    title: str
    claim: str
    rule: str
    evidence: Evidence
    paper_strength: str
    would_change: str
    outcome: Outcome
    checks: tuple[Check, ...]


def outcome(tested: bool, checks: Sequence[Check]) -> Outcome:
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
