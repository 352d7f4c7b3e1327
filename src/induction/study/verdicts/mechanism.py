"""Argument 5: the weights of induction heads do what the mechanism says."""

from collections.abc import Sequence

from induction.config import Verdicts as Thresholds
from induction.rules.head_kinds import head_names
from induction.study.mechanism import Circuit, as_theory_says
from induction.study.summary import ModelSummary
from induction.study.verdicts.verdict import Check, Verdict, more_tokens, outcome, used


def mechanism(summaries: Sequence[ModelSummary], thresholds: Thresholds) -> Verdict:
    """Every induction head of a plain model of two or more layers is asked."""
    checks = [
        _built_as_theory_says(s, circuit, thresholds)
        for s in summaries
        if s.entry.n_layers > 1 and s.entry.plain
        for circuit in s.circuits
    ]
    return Verdict(
        argument=5,
        title="Mechanism",
        evidence="correlational",
        thresholds=used(thresholds, "min_eigenvalue", "partner_previous_token"),
        outcome=outcome(bool(checks), checks),
        checks=tuple(checks),
    )


def _built_as_theory_says(s: ModelSummary, circuit: Circuit, thresholds: Thresholds) -> Check:
    held = as_theory_says(circuit, thresholds.min_eigenvalue, thresholds.partner_previous_token)
    partner = head_names([circuit.partner]) if circuit.partner else "none"
    unfinished = s.cut_off and not held
    return Check(
        kind="circuit as theory says",
        question=f"head {head_names([circuit.head])} copies, matches through {partner}, "
        "and reads it with its keys",
        models=(s.name,),
        numbers={
            "ov_eigenvalue": circuit.ov_eigenvalue,
            "qk_eigenvalue": circuit.qk_eigenvalue,
            "partner_previous_token": circuit.partner_previous_token,
            "k_composition": circuit.k,
            "q_composition": circuit.q,
            "v_composition": circuit.v,
        },
        held=None if unfinished else held,
        settle=more_tokens(s.name) if unfinished else "",
    )
