"""The rules that say which heads are induction heads and which are previous-token heads."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from induction.config import HeadKinds as Rule

Head = tuple[int, int]
"""Layer and head, both counted from 0."""


@dataclass(frozen=True)
class HeadKinds:
    """The heads of one model at one moment, in order of layer and head. A head can be in both."""

    induction: tuple[Head, ...]
    previous_token: tuple[Head, ...]


def find_head_kinds(scores: pl.DataFrame, rule: Rule) -> HeadKinds:
    """Apply the thresholds to the head scores of one snapshot.

    scores: a row for each head, with columns layer, head, prefix_matching, total_copying,
    total_copying_low and previous_token. An induction head reaches both of the first two
    thresholds, as it must find the earlier copy and predict what followed it (paper, "Head
    activation evaluators"), and the interval of the second lies above 0, which is chance; a
    previous-token head reaches the third. A score that is undefined reaches no threshold.
    """
    surely = scores.filter(
        pl.col("total_copying_low").is_not_nan() & (pl.col("total_copying_low") > 0)
    )

    def reaching(scores: pl.DataFrame, *columns: str) -> tuple[Head, ...]:
        enough = [
            # Polars orders NaN above every number.
            pl.col(column).is_not_nan() & (pl.col(column) >= getattr(rule, column))
            for column in columns
        ]
        rows = scores.filter(*enough).select("layer", "head").sort("layer", "head")
        return tuple(rows.iter_rows())

    return HeadKinds(
        induction=reaching(surely, "prefix_matching", "total_copying"),
        previous_token=reaching(scores, "previous_token"),
    )


def head_names(heads: Iterable[Head]) -> str:
    """Heads as text, in order: "1.0 1.3" for heads 0 and 3 of layer 1."""
    return " ".join(f"{layer}.{head}" for layer, head in sorted(heads))
