"""Whether a model's induction heads are built as theory says (paper, Argument 5)."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from induction.study.head_kinds import Head, head_names


@dataclass(frozen=True)
class Circuit:
    """One induction head in the weights.

    ov_eigenvalue: how far its OV circuit copies; qk_eigenvalue: how far its QK circuit, through
    the earlier heads weighted by their previous-token scores, matches like with like; None in the
    first layer. partner: the earlier head that it composes with most through its keys, with that
    head's previous-token score, and the K-, Q- and V-composition with it.
    """

    head: str
    ov_eigenvalue: float
    qk_eigenvalue: float | None
    partner: str | None
    partner_previous_token: float | None
    k: float | None
    q: float | None
    v: float | None


def describe_circuits(
    heads: pl.DataFrame, pairs: pl.DataFrame, induction: Sequence[Head]
) -> list[Circuit]:
    """The circuits of the given heads at one snapshot.

    heads, pairs: that snapshot's rows of heads.parquet and circuits.parquet.
    """
    return [_describe(heads, pairs, head) for head in induction]


def _describe(heads: pl.DataFrame, pairs: pl.DataFrame, head: Head) -> Circuit:
    own = heads.filter((pl.col("layer") == head[0]) & (pl.col("head") == head[1])).row(
        0, named=True
    )
    composed = (
        pairs.filter((pl.col("layer") == head[0]) & (pl.col("head") == head[1]))
        .filter(pl.col("k").is_not_nan())
        .sort("k", descending=True)
    )
    if composed.is_empty():
        return Circuit(
            head_names([head]), own["ov_eigenvalue"], own["qk_eigenvalue"], *([None] * 5)
        )
    best = composed.row(0, named=True)
    partner = (best["from_layer"], best["from_head"])
    score = heads.filter((pl.col("layer") == partner[0]) & (pl.col("head") == partner[1]))
    return Circuit(
        head=head_names([head]),
        ov_eigenvalue=own["ov_eigenvalue"],
        qk_eigenvalue=own["qk_eigenvalue"],
        partner=head_names([partner]),
        partner_previous_token=score["previous_token"].item(),
        k=best["k"],
        q=best["q"],
        v=best["v"],
    )
