"""Sets of heads taken out together: all induction heads, all previous-token heads, and sets of
other heads to compare the induction heads with: matched by layer, and from any layer."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Literal

import numpy as np
import polars as pl

from induction.ablate.effects import Effect
from induction.ablate.evaluator import Ablation, Kind
from induction.model.interface import Shape
from induction.model.weights import Snapshot
from induction.rules.head_kinds import Head, HeadKinds, head_names

_SETS = Literal["induction", "previous_token", "random", "other"]
_KINDS: dict[str, tuple[Kind, ...]] = {
    "induction": ("zero", "pattern_preserving", "mean", "resample"),
    "other": ("zero",),  # of which there are many
}
_USUAL: tuple[Kind, ...] = ("zero", "pattern_preserving")

_TRIES = 20  # for each random set: where there are few heads to draw from, few sets differ

SCHEMA = {
    "step": pl.Int64,
    "tokens": pl.Int64,
    "set": pl.String,
    "draw": pl.Int64,
    "heads": pl.String,
    "n_heads": pl.Int64,
    "kind": pl.String,
    **dict.fromkeys(("icl_attribution", "icl_low", "icl_high"), pl.Float64),
    **dict.fromkeys(("loss_change", "before_after"), pl.Float64),
}


@dataclass(frozen=True)
class HeadSet:
    """Heads to take out together. draw counts the random and the other sets; it is 0 for the first
    two."""

    name: _SETS
    draw: int
    heads: frozenset[Head]

    def ablations(self) -> list[Ablation]:
        return [Ablation(self.heads, kind) for kind in _KINDS.get(self.name, _USUAL)]


def head_sets(spec: Shape, kinds: HeadKinds, random_draws: int, seed: int) -> list[HeadSet]:
    """The sets of one model; those that would be empty are left out.

    The random ones are `matched_sets` of the induction heads.
    """
    sets = [
        HeadSet("induction", 0, frozenset(kinds.induction)),
        HeadSet("previous_token", 0, frozenset(kinds.previous_token)),
        *(
            HeadSet("random", draw, heads)
            for draw, heads in enumerate(matched_sets(spec, kinds.induction, random_draws, seed))
        ),
    ]
    return [heads for heads in sets if heads.heads]


def other_sets(spec: Shape, induction: Collection[Head], at_most: int, seed: int) -> list[HeadSet]:
    """Sets of as many heads as there are induction heads, of those that are none, from any layer:
    all that there are, or `at_most` of them, drawn. None where there are too few other heads.
    """
    heads = [(layer, head) for layer in range(spec.n_layers) for head in range(spec.n_heads)]
    others = [head for head in heads if head not in induction]
    size = len(induction)
    if not size or at_most == 0:
        return []
    if comb(len(others), size) <= at_most:
        found = [frozenset(chosen) for chosen in combinations(others, size)]
    else:
        random = np.random.default_rng(seed)
        drawn: dict[frozenset[Head], None] = {}
        while len(drawn) < at_most:
            places = random.choice(len(others), size, replace=False)
            drawn[frozenset(others[place] for place in places)] = None
        found = list(drawn)
    return [HeadSet("other", draw, heads) for draw, heads in enumerate(found)]


def matched_sets(
    spec: Shape, wanted: Collection[Head], count: int, seed: int
) -> list[frozenset[Head]]:
    """Different sets by `matched_set`: `count`, or as many as there are; none that is empty."""
    random = np.random.default_rng(seed)
    drawn = (matched_set(spec, wanted, random) for _ in range(_TRIES * count))
    return [heads for heads in dict.fromkeys(drawn) if heads][:count]


def matched_set(
    spec: Shape, wanted: Collection[Head], random: np.random.Generator
) -> frozenset[Head]:
    """As many heads as wanted, drawn from all others, and from each layer as many as are wanted
    there.

    Where a layer has too few others, all of these are taken and the rest is drawn from the other
    layers' heads that are left. Where the whole model has too few, the set holds all others and is
    smaller than asked.
    """
    chosen: list[Head] = []
    left: list[Head] = []
    for layer in range(spec.n_layers):
        others = [(layer, head) for head in range(spec.n_heads) if (layer, head) not in wanted]
        count = sum(at == layer for at, _ in wanted)
        order = [others[i] for i in random.permutation(len(others))]
        chosen += order[:count]
        left += order[count:]
    missing = len(wanted) - len(chosen)
    chosen += [left[i] for i in random.permutation(len(left))[:missing]]
    return frozenset(chosen)


def set_rows(
    snapshot: Snapshot,
    sets: Collection[HeadSet],
    effects: Mapping[Ablation, Effect],
    intervals: Mapping[Ablation, tuple[float, float]],
) -> pl.DataFrame:
    """The rows of one snapshot in sets.parquet: columns of SCHEMA.

    heads is text such as "1.0 1.3". icl_low and icl_high, the interval of icl_attribution, are
    null where `intervals` has none; before_after is null without a phase change.
    """
    rows = []
    for heads in sets:
        for ablation in heads.ablations():
            low, high = intervals.get(ablation, (None, None))
            rows.append(
                {
                    "step": snapshot.step,
                    "tokens": snapshot.tokens,
                    "set": heads.name,
                    "draw": heads.draw,
                    "heads": head_names(heads.heads),
                    "n_heads": len(heads.heads),
                    "kind": ablation.kind,
                    "icl_low": low,
                    "icl_high": high,
                    **vars(effects[ablation]),
                }
            )
    return pl.DataFrame(rows, schema=SCHEMA)
