"""Every single head taken out, one at a time, in each of the four ways."""

from collections.abc import Mapping

import polars as pl

from induction.ablate.effects import Effect
from induction.ablate.evaluator import KINDS, Ablation
from induction.model.interface import Shape
from induction.model.weights import Snapshot

SCHEMA = {
    **dict.fromkeys(("step", "tokens", "layer", "head"), pl.Int64),
    "kind": pl.String,
    **dict.fromkeys(("icl_attribution", "loss_change", "before_after"), pl.Float64),
}


def head_ablations(spec: Shape) -> list[Ablation]:
    """Each head with each kind, in order of layer, head and kind."""
    return [
        Ablation(frozenset({(layer, head)}), kind)
        for layer in range(spec.n_layers)
        for head in range(spec.n_heads)
        for kind in KINDS
    ]


def head_rows(snapshot: Snapshot, spec: Shape, effects: Mapping[Ablation, Effect]) -> pl.DataFrame:
    """The rows of one snapshot in heads.parquet: columns of SCHEMA, null for no before_after."""
    rows = []
    for ablation in head_ablations(spec):
        [(layer, head)] = ablation.heads
        rows.append(
            {
                "step": snapshot.step,
                "tokens": snapshot.tokens,
                "layer": layer,
                "head": head,
                "kind": ablation.kind,
                **vars(effects[ablation]),
            }
        )
    return pl.DataFrame(rows, schema=SCHEMA)
