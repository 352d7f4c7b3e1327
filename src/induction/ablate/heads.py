"""Single heads taken out, one at a time: set to zero, and in the other ways."""

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from induction.ablate.effects import Effect
from induction.ablate.evaluator import KINDS, Ablation, Kind
from induction.ablate.sets import HeadSet
from induction.model.interface import Shape
from induction.model.weights import Snapshot
from induction.rules.head_kinds import Head, HeadKinds

SCHEMA = {
    **dict.fromkeys(("step", "tokens", "layer", "head"), pl.Int64),
    "kind": pl.String,
    **dict.fromkeys(("icl_attribution", "loss_change", "before_after"), pl.Float64),
}


def all_heads(spec: Shape) -> list[Head]:
    return [(layer, head) for layer in range(spec.n_layers) for head in range(spec.n_heads)]


def named_heads(kinds: HeadKinds, sets: Collection[HeadSet]) -> list[Head]:
    """The heads of a kind, and the first random set to compare them with, in order."""
    first = [heads.heads for heads in sets if heads.name == "random"][:1]
    return sorted({*kinds.induction, *kinds.previous_token, *(h for heads in first for h in heads)})


def head_ablations(heads: Sequence[Head], kinds: Sequence[Kind] = KINDS) -> list[Ablation]:
    """Each head with each kind, in order."""
    return [Ablation(frozenset({head}), kind) for head in heads for kind in kinds]


def head_rows(
    snapshot: Snapshot, ablations: Sequence[Ablation], effects: Mapping[Ablation, Effect]
) -> pl.DataFrame:
    """The rows of one snapshot in heads.parquet, for ablations of one head each: columns of SCHEMA,
    null for no before_after."""
    rows = []
    for ablation in ablations:
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
