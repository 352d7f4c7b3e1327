"""Verdicts on the paper's arguments: rules written down before the numbers, applied by code.

Each rule takes the summaries of all models and gives a `Verdict`. Models are told apart by what
they are (layers, smeared keys), never by name.
"""

from collections.abc import Sequence

from induction.config import Verdicts as Thresholds
from induction.study.summary import ModelSummary
from induction.study.verdicts.ablation import ablation
from induction.study.verdicts.co_occurrence import co_occurrence
from induction.study.verdicts.co_perturbation import co_perturbation
from induction.study.verdicts.extrapolation import extrapolation
from induction.study.verdicts.generality import generality
from induction.study.verdicts.mechanism import mechanism
from induction.study.verdicts.verdict import Check, Verdict

__all__ = [
    "Check",
    "Verdict",
    "ablation",
    "co_occurrence",
    "co_perturbation",
    "extrapolation",
    "generality",
    "judge",
    "mechanism",
]


def judge(summaries: Sequence[ModelSummary], thresholds: Thresholds) -> list[Verdict]:
    """All verdicts, in the order of the paper's arguments."""
    rules = (co_occurrence, co_perturbation, ablation, generality, mechanism, extrapolation)
    return [rule(summaries, thresholds) for rule in rules]
