"""The figures of the report. Each takes the results and returns a matplotlib figure."""

import math
from collections.abc import Callable, Iterator

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from induction.report.results import Results
from induction.report.style import BAND, FAINT, looks
from induction.report.text import short_tokens
from induction.study.curves import Curves

_COLUMNS = 4
_LABEL_INCHES = 0.15


def loss_curves(results: Results) -> Figure:
    """Validation loss of every model over tokens trained, labelled at the end of its curve."""
    return _one_panel(results, lambda curves: curves.loss, "validation loss (nats per token)")


def icl_curves(results: Results) -> Figure:
    """ICL score of every model over the same axis."""
    figure = _one_panel(results, lambda curves: curves.icl_score, "ICL score (nats)")
    figure.axes[0].axhline(0, color=FAINT, linewidth=0.8, zorder=0)
    return figure


def icl_panels(results: Results) -> Figure:
    """One panel a model: its ICL score with its band, the other models faint behind it."""
    figure, panels = _panels(results, "ICL score (nats)")
    style = looks(results.config.models)
    for name, axes in panels:
        for other, curves in results.curves.items():
            if other != name:
                seen = _seen(curves)
                axes.plot(curves.tokens[seen], curves.icl_score[seen], color=FAINT, linewidth=0.7)
        curves = results.curves[name]
        seen = _seen(curves)
        axes.plot(curves.tokens[seen], curves.icl_score[seen], color=style[name].color)
        _mark_band(axes, results.metrics[name]["band_tokens"])
    return figure


def head_panels(results: Results, score: str, label: str) -> Figure:
    """One panel a model: a score of every head over training, labelled by layer.head."""
    figure, panels = _panels(results, label)
    for name, axes in panels:
        heads = results.curves[name].heads
        n_layers = results.config.models[name].n_layers
        for (layer, head), rows in heads.group_by("layer", "head", maintain_order=True):
            tokens, values = rows["tokens"].to_numpy(), rows[score].to_numpy()
            seen = tokens > 0
            shade = _layer_color(int(layer), n_layers)
            axes.plot(tokens[seen], values[seen], color=shade, linewidth=1.1)
            if values[-1] >= 0.15:
                axes.annotate(
                    f"{layer}.{head}",
                    (tokens[-1], values[-1]),
                    xytext=(2, 0),
                    textcoords="offset points",
                    fontsize=7,
                    color=shade,
                    va="center",
                    annotation_clip=False,
                )
        _mark_band(axes, results.metrics[name]["band_tokens"])
        axes.set_ylim(-0.03, 1.03)
    return figure


def summary(results: Results) -> Figure:
    """Loss, ICL score and best prefix matching of all models over one training axis."""
    figure, rows = plt.subplots(3, 1, figsize=(7, 7.5), sharex=True)
    quantities: list[tuple[str, Callable[[Curves], np.ndarray]]] = [
        ("loss (nats)", lambda curves: curves.loss),
        ("ICL score (nats)", lambda curves: curves.icl_score),
        ("prefix matching\n(best head)", lambda curves: curves.best_head("prefix_matching")),
    ]
    for axes, (label, quantity) in zip(rows, quantities, strict=True):
        _draw_all(axes, results, quantity, 2.1)
        axes.set_ylabel(label)
    for axes in rows[:-1]:
        axes.set_xlabel("")
    return figure


def _one_panel(results: Results, quantity: Callable[[Curves], np.ndarray], label: str) -> Figure:
    figure, axes = plt.subplots(figsize=(7, 3.6))
    _draw_all(axes, results, quantity, 3.0)
    axes.set_ylabel(label)
    return figure


def _draw_all(
    axes: Axes, results: Results, quantity: Callable[[Curves], np.ndarray], inches: float
) -> None:
    """Draw a quantity of every model; `inches` is the height of the axes, to space the labels."""
    style = looks(results.config.models)
    ends = {}
    for name, curves in results.curves.items():
        seen = _seen(curves)
        values = quantity(curves)
        look = style[name]
        axes.plot(curves.tokens[seen], values[seen], color=look.color, linestyle=look.linestyle)
        ends[name] = (float(curves.tokens[-1]), float(values[-1]))
    _token_axis(axes)
    first = min(float(curves.tokens[_seen(curves)][0]) for curves in results.curves.values())
    right = max(x for x, _ in ends.values())
    axes.set_xlim(first, right)
    low, high = axes.get_ylim()
    for name, (x, y), place in spread(ends, (high - low) * _LABEL_INCHES / inches, low):
        axes.annotate(
            name,
            (x, y),
            xytext=(right * 1.08, place),
            textcoords="data",
            color=style[name].color,
            fontsize=8,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.5, "shrinkA": 0},
        )


def spread(
    ends: dict[str, tuple[float, float]], gap: float, low: float = -math.inf
) -> Iterator[tuple[str, tuple[float, float], float]]:
    """Places for the labels: in the order of the curves' ends, `gap` apart, above `low`."""
    order = sorted(ends, key=lambda name: ends[name][1])
    places = np.array([ends[name][1] for name in order])
    for _ in range(200):
        for k in range(len(places) - 1):
            overlap = gap - (places[k + 1] - places[k])
            if overlap > 0:
                places[k] -= overlap / 2
                places[k + 1] += overlap / 2
        places = np.maximum(places, low + gap * np.arange(len(places)))
    for name, place in zip(order, places, strict=True):
        yield name, ends[name], float(place)


def _panels(results: Results, label: str) -> tuple[Figure, list[tuple[str, Axes]]]:
    names = list(results.config.models)
    columns = min(_COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    figure, grid = plt.subplots(
        rows, columns, figsize=(8.4, 0.4 + 2 * rows), sharex=True, sharey=True, squeeze=False
    )
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    panels = list(zip(names, grid.flat, strict=False))
    for name, axes in panels:
        axes.set_title(name, color=looks(results.config.models)[name].color, fontweight="bold")
        _token_axis(axes, "", ticks=(1.0,))
    figure.supxlabel("tokens trained", fontsize=9)
    figure.supylabel(label, fontsize=9)
    return figure, panels


def _token_axis(axes: Axes, label: str = "tokens trained", ticks: tuple = (1.0, 3.0)) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_tokens(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)


def _mark_band(axes: Axes, band: list[float] | None) -> None:
    if band:
        axes.axvspan(band[0], band[1], color=BAND, alpha=0.45, linewidth=0, zorder=0)


def _layer_color(layer: int, n_layers: int) -> tuple[float, float, float, float]:
    return plt.get_cmap("viridis")(0.85 * layer / max(n_layers - 1, 1))


def _seen(curves: Curves) -> np.ndarray:
    """Snapshots that a logarithmic axis can show: all but the untrained one."""
    return curves.tokens > 0
