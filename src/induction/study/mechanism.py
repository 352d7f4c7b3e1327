"""Whether a model's induction heads are built as theory says (paper, Argument 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from induction.rules.head_kinds import Head
from induction.study.heads import of_heads


@dataclass(frozen=True)
class Circuit:
    """One induction head in the weights.

    ov_eigenvalue: how far its OV circuit copies; qk_eigenvalue: how far its QK circuit, through
    the earlier heads weighted by their previous-token scores, matches like with like; None in the
    first layer. partner: the earlier head that it composes with most through its keys, with that
    head's previous-token score, and the K-, Q- and V-composition with it.
    """

    head: Head
    ov_eigenvalue: float
    qk_eigenvalue: float | None
    partner: Head | None
    partner_previous_token: float | None
    k: float | None
    q: float | None
    v: float | None


def as_theory_says(circuit: Circuit, min_eigenvalue: float, min_previous_token: float) -> bool:
    """Whether a head copies, matches like with like, and reads a previous-token head most through
    its keys (paper, Argument 5)."""
    qk, k, partner = circuit.qk_eigenvalue, circuit.k, circuit.partner_previous_token
    return (
        circuit.ov_eigenvalue >= min_eigenvalue
        and qk is not None
        and qk >= min_eigenvalue
        and partner is not None
        and partner >= min_previous_token
        and k is not None
        and k > max(circuit.q or 0.0, circuit.v or 0.0)
    )


def describe_circuits(
    heads: pl.DataFrame, pairs: pl.DataFrame, induction: Sequence[Head]
) -> list[Circuit]:
    """The circuits of the given heads at one snapshot.

    heads, pairs: that snapshot's rows of heads.parquet and circuits.parquet.
    """
    return [_describe(heads, pairs, head) for head in induction]


def _describe(heads: pl.DataFrame, pairs: pl.DataFrame, head: Head) -> Circuit:
    own = heads.filter(of_heads([head])).row(0, named=True)
    composed = (
        pairs.filter(of_heads([head])).filter(pl.col("k").is_not_nan()).sort("k", descending=True)
    )
    if composed.is_empty():
        return Circuit(head, own["ov_eigenvalue"], own["qk_eigenvalue"], *([None] * 5))
    best = composed.row(0, named=True)
    partner = (best["from_layer"], best["from_head"])
    score = heads.filter(of_heads([partner]))
    return Circuit(
        head=head,
        ov_eigenvalue=own["ov_eigenvalue"],
        qk_eigenvalue=own["qk_eigenvalue"],
        partner=partner,
        partner_previous_token=score["previous_token"].item(),
        k=best["k"],
        q=best["q"],
        v=best["v"],
    )
