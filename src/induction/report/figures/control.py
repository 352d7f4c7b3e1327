"""What becomes of a model while its induction heads, or as many others, are turned down and up."""

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from induction.report.figures.seeds import by_kind
from induction.report.results import Results
from induction.report.style import FAINT, looks
from induction.study.beyond.steering import COPYING, FEW_SHOT, INDUCTION, LOSS, RANDOM, REPETITION

_OTHERS = "#555555"
_TITLES = {
    COPYING: "literal copying\n(accuracy)",
    FEW_SHOT: "few-shot\n(accuracy)",
    REPETITION: "repeated 4-grams\n(share)",
    LOSS: "rise of the loss\n(nats per token)",
}


def scaled(results: Results) -> pl.DataFrame:
    """A row for each model, measure, set of heads and scale: value, and change from scale 1, with
    their 95 % intervals; for repetition also that of the real continuations."""
    return results.steering


def by_scale(results: Results) -> Figure:
    """A row for the first seed of each kind of model with induction heads, a column for each
    measure: its course over the scale of the heads' outputs."""
    table = scaled(results)
    names = list(by_kind(results, table["model"].unique(maintain_order=True)))
    rows = max(len(names), 1)
    figure, grid = plt.subplots(
        *(rows, len(_TITLES)),
        figsize=(8.4, 1.0 + 1.25 * rows),
        sharex=True,
        sharey="col",
        squeeze=False,
    )
    style = looks(results.config.studied)
    for name, row in zip(names, grid, strict=False):
        own = table.filter(pl.col("model") == name)
        for measure, axes in zip(_TITLES, row, strict=True):
            _curves(axes, own.filter(pl.col("measure") == measure), style[name].color)
        row[0].set_ylabel(name, color=style[name].color, fontweight="bold", fontsize=8)
    for title, axes in zip(_TITLES.values(), grid[0], strict=True):
        axes.set_title(title, fontsize=8)
    figure.supxlabel("scale of the heads' outputs: 0 takes them out, 1 leaves them", fontsize=9)
    handles = [
        Line2D([], [], color="black", marker="o", markersize=3, label="induction heads"),
        Line2D([], [], color=_OTHERS, linestyle="--", label="as many others"),
        Line2D([], [], color=_OTHERS, linestyle=":", label="real text"),
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles), fontsize=8)
    return figure


def _curves(axes: Axes, rows: pl.DataFrame, color: tuple[float, float, float]) -> None:
    """One measure: its values, but of the loss its change, which is what scaling costs."""
    axes.axvline(1, color=FAINT, linewidth=0.8, zorder=0)
    axes.tick_params(labelsize=7)
    if rows.is_empty():
        axes.text(0.5, 0.5, "–", ha="center", va="center", transform=axes.transAxes, color=_OTHERS)
        return
    cost = rows["measure"][0] == LOSS
    value, low, high = ("change", "change_low", "change_high") if cost else ("value", "low", "high")
    for heads, shade, line, marker in ((RANDOM, _OTHERS, "--", ""), (INDUCTION, color, "-", "o")):
        own = rows.filter(pl.col("heads") == heads)
        axes.fill_between(own["scale"], own[low], own[high], color=shade, alpha=0.18, linewidth=0)
        axes.plot(own["scale"], own[value], color=shade, linestyle=line, marker=marker, ms=3)
    if (real := rows["real"][0]) is not None:
        axes.axhline(real, color=_OTHERS, linestyle=":", linewidth=1)
