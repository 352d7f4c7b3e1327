"""One analysis of one model, drawn into given axes: the cells of all small multiples."""

from collections.abc import Callable, Iterator

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, TwoSlopeNorm
from matplotlib.ticker import FuncFormatter

from induction.report.figures.axes import (
    Color,
    courses,
    layer_color,
    mark_band,
    seen,
    shade_interval,
)
from induction.report.figures.seeds import draw_thin, twins
from induction.report.results import Results
from induction.report.style import FAINT, looks, marker_of

Cell = Callable[[Axes, Results, str], None]
"""Draws one model, by name, into axes with tokens trained along x (PCA excepted)."""


def loss(axes: Axes, results: Results, name: str) -> None:
    """Validation loss, that of other seeds faint behind it."""
    for twin in twins(results, name):
        draw_thin(axes, results, twin, results.curves[twin].loss)
    _line(axes, results, name, results.curves[name].loss)


def icl_score(axes: Axes, results: Results, name: str) -> None:
    """ICL score, the other models faint behind it."""
    for other in courses(results):
        if other != name:
            curves = results.curves[other]
            shown = seen(curves)
            axes.plot(curves.tokens[shown], curves.icl_score[shown], color=FAINT, linewidth=0.7)
    for twin in twins(results, name):
        draw_thin(axes, results, twin, results.curves[twin].icl_score)
    own = results.curves[name]
    shown = seen(own)
    color = looks(results.config.studied)[name].color
    shade_interval(axes, own.tokens[shown], (own.late - own.early)[shown], color)
    _line(axes, results, name, own.icl_score)
    if interval := results.models[name].intervals["onset_tokens"]:
        place = axes.get_xaxis_transform()
        axes.plot(interval, [0.98, 0.98], color="#8a6d1d", linewidth=2.5, transform=place)


def head_score(score: str, label_from: float | None = None) -> Cell:
    """A score of every head, labelled layer.head where it ends at `label_from` or higher; those of
    other seeds faint behind it."""

    def draw(axes: Axes, results: Results, name: str) -> None:
        for twin in twins(results, name):
            _faint(axes, results, twin, results.curves[twin].heads, score)
        _heads(axes, results, name, results.curves[name].heads, score, label_from)

    return draw


def head_ablation(effect: str, label_from: float | None = None) -> Cell:
    """What setting each head to zero does, as a column of the ablation table; that of other seeds
    faint behind it."""

    def rows_of(results: Results, name: str) -> pl.DataFrame:
        return results.ablations[name].heads.filter(pl.col("kind") == "zero")

    def draw(axes: Axes, results: Results, name: str) -> None:
        for twin in twins(results, name):
            _faint(axes, results, twin, rows_of(results, twin), effect)
        rows = rows_of(results, name)
        axes.axhline(0, color=FAINT, linewidth=0.8, zorder=0)
        _heads(axes, results, name, rows, effect, label_from)

    return draw


def pca(axes: Axes, results: Results, name: str) -> None:
    """The model's path through the first two components; thick inside its band."""
    scores = results.loss_space.scores.filter(pl.col("fitted"))
    for _, path in scores.group_by("model", maintain_order=True):
        axes.plot(path["pc1"], path["pc2"], color=FAINT, linewidth=0.6)
    own = scores.filter(pl.col("model") == name)
    color = looks(results.config.studied)[name].color
    axes.plot(own["pc1"], own["pc2"], color=color, linewidth=1.1)
    axes.plot(own["pc1"][-1], own["pc2"][-1], marker="o", markersize=3, color=color)
    band = results.models[name].band_tokens
    if band:
        inside = own.filter(pl.col("tokens").is_between(*band))
        axes.plot(inside["pc1"], inside["pc2"], color=color, linewidth=3, alpha=0.6)


def loss_map(axes: Axes, results: Results, name: str) -> None:
    """Loss over index and training, on one scale for all models."""
    maps = [found for found in results.loss_maps.values() if found]
    low = min((float(found.loss.min()) for found in maps), default=0.0)
    high = max((float(found.loss.max()) for found in maps), default=1.0)
    _heat(axes, results, name, "loss", "viridis_r", Normalize(low, high))


def index_derivative(axes: Axes, results: Results, name: str) -> None:
    """Derivative of the loss by ln(index): blue where the loss falls with more context."""
    _heat(axes, results, name, "by_index", "RdBu_r", TwoSlopeNorm(0.0, -0.4, 0.4))


def token_derivative(axes: Axes, results: Results, name: str) -> None:
    """Derivative of the loss by ln(tokens trained): blue where training helps."""
    _heat(axes, results, name, "by_tokens", "RdBu_r", TwoSlopeNorm(0.0, -1.0, 1.0))


def _heat(
    axes: Axes, results: Results, name: str, field: str, colors: str, scale: Normalize
) -> None:
    found = results.loss_maps[name]
    if found is None:
        _undefined(axes)
        return
    value = getattr(found, field)
    axes.pcolormesh(found.tokens, found.index, value.T, cmap=colors, norm=scale, rasterized=True)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda index, _: f"{index:.0f}"))
    axes.grid(False)


def _undefined(axes: Axes) -> None:
    """Mark what a model does not have."""
    axes.text(0.5, 0.5, "–", ha="center", va="center", transform=axes.transAxes, color="#777777")


def _line(axes: Axes, results: Results, name: str, values: np.ndarray) -> None:
    curves = results.curves[name]
    shown = seen(curves)
    color = looks(results.config.studied)[name].color
    axes.plot(
        *(curves.tokens[shown], values[shown]),
        color=color,
        marker=marker_of(values[shown]),
        markersize=3,
    )
    mark_band(axes, results.models[name].band_tokens)


def _faint(axes: Axes, results: Results, name: str, rows: pl.DataFrame, column: str) -> None:
    """The lines of `_heads` thin and without labels."""
    for _, line, shade in _lines(results, name, rows, column):
        axes.plot(line["tokens"], line[column], color=shade, linewidth=0.6, alpha=0.25)


def _lines(
    results: Results, name: str, rows: pl.DataFrame, column: str
) -> Iterator[tuple[str, pl.DataFrame, Color]]:
    """Name, course and colour of each head."""
    n_layers = results.config.studied[name].n_layers
    trained = rows.filter((pl.col("tokens") > 0) & pl.col(column).is_not_null())
    for (layer, head), line in trained.group_by("layer", "head", maintain_order=True):
        yield f"{layer}.{head}", line, layer_color(int(str(layer)), n_layers)


def _heads(
    axes: Axes,
    results: Results,
    name: str,
    rows: pl.DataFrame,
    column: str,
    label_from: float | None,
) -> None:
    """A line for each head, darker in earlier layers, with the model's band."""
    lines = list(_lines(results, name, rows, column))
    if not lines:
        _undefined(axes)
        return
    mark_band(axes, results.models[name].band_tokens)
    for head, line, shade in lines:
        axes.plot(
            *(line["tokens"], line[column]),
            color=shade,
            linewidth=1.1,
            marker=marker_of(line),
            markersize=2,
        )
        if label_from is not None and abs(line[column][-1]) >= label_from:
            axes.annotate(
                head,
                (line["tokens"][-1], line[column][-1]),
                xytext=(2, 0),
                textcoords="offset points",
                fontsize=7,
                color=shade,
                va="center",
                annotation_clip=False,
            )
