"""The ICL score of models with modified training, beside unmodified ones of their kind."""

from collections.abc import Iterator, Sequence
from itertools import cycle

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from induction.report.figures.axes import nothing, panel_grid, token_axis
from induction.report.figures.seeds import median
from induction.report.results import Results
from induction.study.beyond.experiments import Group

_COLORS = ("#222222", "#0072b2", "#d55e00", "#009e73", "#9b4d96")


def icl_scores(results: Results) -> Figure:
    """One panel a question and architecture: seeds as thin lines, their median as a thick one."""
    panels = list(_panels(results))
    if not panels:
        return nothing("no such models in this run")
    figure, grid = panel_grid(len(panels), 2.9, 0.0, columns=2, share=False)
    for axes, (title, groups) in zip(grid, panels, strict=True):
        _draw(axes, results, title, groups)
    return figure


def icl_score_table(results: Results) -> pl.DataFrame:
    """A row for each panel, model and snapshot: ICL score in nats, over all targets and over those
    that the context does not let one copy."""
    parts = [
        pl.DataFrame(
            {
                "panel": title,
                "done": group.done,
                "model": name,
                "tokens": results.experiments[name].tokens,
                "icl_score": results.experiments[name].icl_score,
                "uncopyable_icl": _uncopyable(results, name),
            }
        )
        for title, groups in _panels(results)
        for group in groups
        for name in group.names
    ]
    return pl.concat(parts) if parts else pl.DataFrame({"model": []})


def _uncopyable(results: Results, name: str) -> np.ndarray:
    own = results.experiments[name]
    if own.uncopyable is None:
        return np.full(len(own.tokens), np.nan)
    return own.uncopyable[:, 1] - own.uncopyable[:, 0]


def _panels(results: Results) -> Iterator[tuple[str, Sequence[Group]]]:
    found = results.beyond
    for series in found.batch.series:
        yield f"batch, {series.name}", series.groups
    for masked in found.copying.asked:
        yield f"{masked.everything.names[0]} learns from", masked.groups
    if found.bottleneck.groups:
        yield "clamped from the start", found.bottleneck.groups
    if found.repetition.groups:
        yield "windows that hold a segment twice", found.repetition.groups


def _draw(axes: Axes, results: Results, title: str, groups: Sequence[Group]) -> None:
    for color, group in zip(cycle(_COLORS), groups, strict=False):
        for name in group.names:
            own = results.experiments[name]
            shown = own.tokens > 0
            axes.plot(
                *(own.tokens[shown], own.icl_score[shown]), color=color, linewidth=0.6, alpha=0.45
            )
        middle = median([results.experiments[name].icl_score for name in group.names])
        tokens = results.experiments[group.names[0]].tokens[: len(middle)]
        shown = tokens > 0
        axes.plot(tokens[shown], middle[shown], color=color, label=group.done)
    token_axis(axes)
    axes.set_title(title, fontsize=9)
    axes.set_ylabel("ICL score (nats)")
    axes.legend(fontsize=7, frameon=False, loc="lower left")
