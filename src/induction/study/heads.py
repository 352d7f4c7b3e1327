"""Rows of tables that are of some heads."""

from collections.abc import Iterable

import polars as pl

from induction.rules.head_kinds import Head, head_names


def of_heads(heads: Iterable[Head]) -> pl.Expr:
    """Which rows of a table with a layer and a head are of these heads."""
    return pl.format("{}.{}", "layer", "head").is_in(head_names(heads).split())
