"""What the figures share: axes in tokens trained, panels of models, bands, labels at line ends."""

import math
from collections.abc import Callable, Iterable, Iterator

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from induction.report.figures.seeds import by_kind
from induction.report.results import Results
from induction.report.style import BAND, FAINT, looks
from induction.report.text import short_tokens
from induction.rules.curves import Curves
from induction.rules.intervals import mean_bounds
from induction.study.kinds import kind_label

Color = str | tuple[float, float, float] | tuple[float, float, float, float]

LABEL_INCHES = 0.15


def label_right(
    axes: Axes, results: Results, ends: dict[str, tuple[float, float]], inches: float
) -> None:
    """Write the name of each model's kind, in its colour, to the right of where its curve ends.

    ends: by the first model of the kind. inches: height of the axes, to keep the names apart.
    """
    style, kinds = looks(results.config.studied), by_kind(results, courses(results))
    low, high = axes.get_ylim()
    right = max(x for x, _ in ends.values())
    for name, end, place in spread(ends, (high - low) * LABEL_INCHES / inches, low):
        axes.annotate(
            kind_label(kinds[name]),
            end,
            xytext=(right * 1.08, place),
            textcoords="data",
            color=style[name].color,
            fontsize=8,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.5, "shrinkA": 0},
        )


def label_left(
    axes: Axes,
    ends: dict[str, tuple[float, float]],
    labels: dict[str, tuple[str, tuple[float, float, float]]],
    place_x: Callable[[float], float],
    inches: float,
    fontsize: float,
) -> None:
    """Write text and colour of `labels` to the left of their points, spread so that none overlap.

    place_x: from a point's x to that of its label's right end. inches: height of the axes.
    """
    low, high = axes.get_ylim()
    for name, end, place in spread(ends, (high - low) * LABEL_INCHES / inches):
        text, color = labels[name]
        axes.annotate(
            text,
            end,
            xytext=(place_x(end[0]), place),
            textcoords="data",
            fontsize=fontsize,
            color=color,
            ha="right",
            va="center",
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.5},
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


def panels_of_models(
    results: Results,
    draw: Callable[[Axes, Results, str], None],
    label: str,
    models: Iterable[str] = (),
) -> Figure:
    """One panel a kind of model with a course, drawn by a cell, with shared axes in tokens trained.

    The cell draws the first seed of the kind; it may show the others behind it.
    models: those that have what the cell draws, if not all.
    """
    kinds = by_kind(results, models or courses(results))
    figure, grid = panel_grid(len(kinds), 2.0, 0.4)
    for (name, seeds), axes in zip(kinds.items(), grid, strict=True):
        draw(axes, results, name)
        count = f" ({len(seeds)} seeds)" if seeds[1:] else ""
        title = f"{kind_label(seeds)}{count}"
        axes.set_title(title, color=looks(results.config.studied)[name].color, fontweight="bold")
        token_axis(axes, "", ticks=(1.0,))
    figure.supxlabel("tokens trained", fontsize=9)
    figure.supylabel(label, fontsize=9)
    return figure


def panel_grid(
    count: int, height: float, margin: float, columns: int = 4, *, share: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure of as many panels of one height, and a margin for what they share, in inches.

    share: all panels have the same axes. What the last row has too many is not shown.
    """
    columns = min(columns, count)
    rows = math.ceil(count / columns)
    size = (8.4, margin + height * rows)
    figure, grid = plt.subplots(
        rows, columns, figsize=size, sharex=share, sharey=share, squeeze=False
    )
    for axes in grid.flat[count:]:
        axes.remove()
    return figure, list(grid.flat[:count])


def token_axis(axes: Axes, label: str = "tokens trained", ticks: tuple = (1.0, 3.0)) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_tokens(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(label)


def mark_band(axes: Axes, band: tuple[float, float] | None) -> None:
    if band:
        axes.axvspan(band[0], band[1], color=BAND, alpha=0.45, linewidth=0, zorder=0)


def shade_interval(
    axes: Axes, tokens: np.ndarray, samples: np.ndarray, color: Color = "#555555"
) -> None:
    """The 95 % interval of a mean over samples [snapshots, samples] as a ribbon."""
    low, high = mean_bounds(samples)
    axes.fill_between(tokens, low, high, color=color, alpha=0.22, linewidth=0)


def layer_color(layer: int, n_layers: int) -> tuple[float, float, float, float]:
    return plt.get_cmap("viridis")(0.85 * layer / max(n_layers - 1, 1))


def courses(results: Results) -> list[str]:
    """Models that are known at more than one moment of training, which is what a training axis can
    show: one moment of a large model would squeeze all others into its edge. All where none is."""
    found = [name for name, curves in results.curves.items() if seen(curves).sum() > 1]
    return found or list(results.curves)


def trained_range(results: Results) -> tuple[float, float]:
    """First and last moment that the training axes show, in tokens."""
    tokens = [results.curves[name].tokens for name in courses(results)]
    return min(float(each[each > 0][0]) for each in tokens), max(float(e[-1]) for e in tokens)


def seen(curves: Curves) -> np.ndarray:
    """Snapshots that a logarithmic axis can show: all but the untrained one."""
    return curves.tokens > 0


def nothing(why: str) -> Figure:
    """In place of a figure for which a run has no models."""
    figure, axes = plt.subplots(figsize=(6, 0.6))
    axes.text(0.5, 0.5, why, ha="center", va="center")
    axes.axis("off")
    return figure
