"""What a verdict is: the outcome of a rule with every number that it rests on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Outcome = Literal["supported", "not supported", "not tested"]
Evidence = Literal["correlational", "interventional", "causal", "plausibility", "analogy"]


@dataclass(frozen=True)
class Check:
    """One condition of a rule: what was asked, of which models, and whether it held."""

    question: str
    models: tuple[str, ...]
    numbers: dict[str, float | None]
    held: bool


@dataclass(frozen=True)
class Verdict:
    """The outcome of one argument of the paper.

    outcome is "not tested" when the zoo lacks models that the rule needs. evidence says how strong
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
    """Supported when every check held; not tested when the rule had nothing to go by."""
    if not tested:
        return "not tested"
    return "supported" if all(check.held for check in checks) else "not supported"
