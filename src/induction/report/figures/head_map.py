"""Every head of one model at the end of training, as maps of layer by head."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from induction.report.prompts import chosen_prompt
from induction.report.results import Results
from induction.rules.head_kinds import Head, head_names

_PANELS = (
    ("prefix_matching", "prefix matching", "viridis", Normalize(0, 1)),
    ("previous_token", "previous token", "viridis", Normalize(0, 1)),
    ("ov_eigenvalue", "OV eigenvalue score", "RdBu_r", Normalize(-1, 1)),
)
_RIGHT = "right_over_wrong"


def mapped_model(results: Results) -> str:
    """The model with the most heads; the first of those that have as many."""
    studied = results.config.studied
    return max(studied, key=lambda name: len(results.curves[name].last_heads))


def head_maps(results: Results) -> Figure:
    """Scores of every head of the model with the most heads; induction heads framed and named."""
    name, table = mapped_model(results), heads_of_map(results)
    figure, grid = plt.subplots(2, 2, figsize=(8.4, 4.6), sharex=True, sharey=True)
    limit = table[_RIGHT].abs().max()
    last = (_RIGHT, "attention to right places − wrong ones", "RdBu_r", None)
    for axes, (column, title, colors, scale) in zip(grid.flat, (*_PANELS, last), strict=True):
        if column == _RIGHT:
            if not isinstance(limit, float) or not limit:
                axes.set_visible(False)
                continue
            scale = Normalize(-limit, limit)
        square = table.pivot(on="layer", index="head", values=column).drop("head").to_numpy()
        layers, heads = (range(size + 1) for size in square.shape[::-1])
        mesh = axes.pcolormesh(layers, heads, square, cmap=colors, norm=scale)
        bar = figure.colorbar(mesh, ax=axes, pad=0.02)
        bar.ax.tick_params(labelsize=7)
        axes.set_title(title)
        axes.grid(False)
        axes.set(xlim=(0, layers[-1]), ylim=(heads[-1], 0))
        _number(axes)
        _frame(axes, results.models[name].kinds.induction, named=axes is grid[0, 0])
    figure.supxlabel("layer", fontsize=9)
    figure.supylabel("head", fontsize=9)
    figure.suptitle(name, fontsize=9, fontweight="bold")
    return figure


def _number(axes: Axes) -> None:
    """Numbers in the middle of the cells of a map, counted from 0."""
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=10, integer=True))
        ticks = [tick for tick in axis.get_ticklocs() if 0 <= tick < max(axis.get_view_interval())]
        axis.set_ticks([tick + 0.5 for tick in ticks], [f"{tick:.0f}" for tick in ticks])
    axes.tick_params(labelsize=7)


def _frame(axes: Axes, heads: Sequence[Head], named: bool) -> None:
    rightmost = {head: layer for layer, head in sorted(heads)}
    for layer, head in heads:
        frame = Rectangle((layer, head), 1, 1, fill=False, edgecolor="#e63946", linewidth=1.2)
        axes.add_patch(frame)
        if named:
            # Right of the last in its row, left of the others; never over the edge.
            right = layer == rightmost[head] and layer < 0.9 * axes.get_xlim()[1]
            place = (layer + (1.15 if right else -0.15), head + 0.5)
            side = "left" if right else "right"
            axes.text(
                *place, head_names([(layer, head)]), fontsize=6, color="white", ha=side, va="center"
            )


def heads_of_map(results: Results) -> pl.DataFrame:
    """What `head_maps` shows, a row for each head.

    right_over_wrong: attention to the right places of the task of the chosen prompt above that to
    as many wrong ones; null where that is another model's.
    """
    name, prompt = mapped_model(results), chosen_prompt(results)
    scores = [column for column, *_ in _PANELS]
    table = results.curves[name].last_heads.sort("layer", "head").select("layer", "head", *scores)
    if prompt is None or prompt.model != name:
        return table.with_columns(pl.lit(None, pl.Float64).alias(_RIGHT))
    own = results.behaviours[name].attention.filter(
        (pl.col("behaviour") == prompt.result.behaviour)
        & (pl.col("variant") == prompt.result.variant)
        & (pl.col("step") == pl.col("step").max())
    )
    as_many = pl.col("wrong") * pl.col("uniform") / pl.col("uniform_wrong")
    difference = (pl.col("attention") - as_many).alias(_RIGHT)
    return table.join(own.select("layer", "head", difference), on=["layer", "head"], how="left")
