"""The local learning coefficient over training."""

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from induction.report.figures.axes import mark_band, nothing, panels_of_models
from induction.report.figures.seeds import twins
from induction.report.results import Results
from induction.report.style import looks


def coefficients(results: Results) -> Figure:
    """One panel a kind of model: chains of the first seed as thin lines, their mean as a thick one
    with a dot at each boundary; means of its other seeds dashed."""
    if not results.coefficients:
        return nothing("not sampled in this run")
    return panels_of_models(results, _draw, "learning coefficient λ̂", results.coefficients)


def _draw(axes: Axes, results: Results, name: str) -> None:
    color = looks(results.config.studied)[name].color
    own = results.coefficients[name]
    shown = own.tokens > 0
    tokens, mean = own.tokens[shown], own.llc[shown].mean(axis=1)
    axes.plot(tokens, own.llc[shown], color="#555555", linewidth=0.5, alpha=0.6)
    axes.plot(tokens, mean, color=color)
    for other in twins(results, name):
        if found := results.coefficients.get(other):
            axes.plot(found.tokens, found.llc.mean(axis=1), color=color, linestyle="--", alpha=0.6)
    found = results.beyond.geometry
    for turns in (*found.asked, *found.beside):
        if turns.model == name:
            at = np.interp(np.log(turns.boundaries), np.log(tokens), mean)
            axes.plot(turns.boundaries, at, "o", color=color, markersize=3.5)
    mark_band(axes, results.models[name].band_tokens)


def coefficient_table(results: Results) -> pl.DataFrame:
    """A row for each model, snapshot and chain; mean: over chains; loss: of the snapshot, in nats a
    token."""
    parts = [
        pl.DataFrame(
            {
                "model": name,
                "tokens": np.repeat(own.tokens, own.llc.shape[1]),
                "chain": np.tile(np.arange(own.llc.shape[1]), len(own.llc)),
                "llc": own.llc.ravel(),
                "mean": np.repeat(own.llc.mean(axis=1), own.llc.shape[1]),
                "loss": own.loss.ravel(),
            }
        )
        for name, own in results.coefficients.items()
    ]
    return pl.concat(parts) if parts else pl.DataFrame({"model": []})
