"""Argument 5: the weights of induction heads do what the mechanism says."""

from collections.abc import Sequence

from induction.config import Verdicts as Thresholds
from induction.study.mechanism import Circuit
from induction.study.summary import ModelSummary
from induction.study.verdicts.verdict import Check, Verdict, more_tokens, outcome


def mechanism(summaries: Sequence[ModelSummary], thresholds: Thresholds) -> Verdict:
    """Every induction head of a plain model of two or more layers is asked."""
    checks = [
        _built_as_theory_says(s, circuit, thresholds)
        for s in summaries
        if s.entry.n_layers > 1 and not s.entry.smeared_keys
        for circuit in s.circuits
    ]
    return Verdict(
        argument=5,
        title="Mechanism",
        claim="An induction head copies what it attends to, and finds it through the keys that a "
        "previous-token head wrote in an earlier layer.",
        rule="Every induction head of a plain model with two or more layers has an OV eigenvalue "
        f"score of at least {thresholds.min_eigenvalue}, a QK eigenvalue score through earlier "
        "heads (weighted by their previous-token scores) of at least as much, and composes most "
        "through its keys with an earlier head that has a previous-token score of at least "
        f"{thresholds.partner_previous_token}, more than through queries or values with that head. "
        "Inconclusive where a head of a model whose training ended inside its change lacks "
        "something: it was still forming.",
        evidence="correlational",
        paper_strength="strong for some contribution in small models, medium in large ones; weak "
        "or none for the majority",
        would_change="An induction head whose weights do not copy, whose keys read no "
        "previous-token head, or which goes on matching prefixes when that head is taken out.",
        outcome=outcome(bool(checks), checks),
        checks=tuple(checks),
    )


def _built_as_theory_says(s: ModelSummary, circuit: Circuit, thresholds: Thresholds) -> Check:
    qk, k, partner = circuit.qk_eigenvalue, circuit.k, circuit.partner_previous_token
    held = (
        circuit.ov_eigenvalue >= thresholds.min_eigenvalue
        and qk is not None
        and qk >= thresholds.min_eigenvalue
        and partner is not None
        and partner >= thresholds.partner_previous_token
        and k is not None
        and k > max(circuit.q or 0.0, circuit.v or 0.0)
    )
    unfinished = s.cut_off and not held
    return Check(
        question=f"head {circuit.head} copies, matches through {circuit.partner or 'none'}, "
        "and reads it with its keys",
        models=(s.name,),
        numbers={
            "ov_eigenvalue": circuit.ov_eigenvalue,
            "qk_eigenvalue": qk,
            "partner_previous_token": partner,
            "k_composition": k,
            "q_composition": circuit.q,
            "v_composition": circuit.v,
        },
        held=None if unfinished else held,
        settle=more_tokens(s.name) if unfinished else "",
    )
