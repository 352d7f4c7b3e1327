"""One measurement per file; a new one is a new file and a line here.

A measurement is a pure function `measure(model, evaluation)` of a model and the evaluation set.
"""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from induction.evaluation.evaluation_set import EvaluationSet
from induction.measure import (
    composition,
    copying,
    losses,
    prefix_matching,
    previous_token,
    smear,
    total_copying,
    weight_circuits,
)
from induction.model.interface import Measurable

Measurement = Callable[[Measurable, EvaluationSet], Mapping[str, np.ndarray]]

ARRAYS: tuple[Measurement, ...] = (losses.measure,)
"""Each gives named arrays; losses.npz holds them stacked over snapshots."""

HEADS: tuple[Measurement, ...] = (
    previous_token.measure,
    prefix_matching.measure,
    copying.measure,
    smear.measure,
)
"""Each gives named [n_layers, n_heads] scores; heads.parquet has a column for each. Those with
further axes, [n_layers, n_heads, …], stand in losses.npz."""

EFFECTS: Callable[[Measurable, EvaluationSet, np.ndarray, float], Mapping[str, np.ndarray]] = (
    total_copying.measure
)
"""Gives more such scores, of the heads that match prefixes; and, with other axes, arrays."""

CIRCUITS: Callable[[Measurable, np.ndarray], Mapping[str, np.ndarray]] = weight_circuits.measure
"""Gives more such scores, from the weights and the previous-token scores alone."""

PAIRS: Callable[[Measurable], pl.DataFrame] = composition.measure
"""Gives a row for each pair of an earlier and a later head; circuits.parquet holds them."""
