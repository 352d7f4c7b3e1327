"""Loss, ICL score and head scores over training."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from induction.report.figures import cells
from induction.report.figures.axes import (
    courses,
    label_right,
    panels_of_models,
    seen,
    shade_interval,
    token_axis,
    trained_range,
)
from induction.report.figures.seeds import by_kind, draw_seeds
from induction.report.results import Results
from induction.report.style import kind, looks
from induction.rules.curves import Curves

_SERIES = {
    "attn": "attention only",
    "mlp": "with MLPs",
    "smear": "smeared keys",
    "values": "smeared values",
    "external": "of others",
}
_SHALLOW = 2
_QUANTITIES: tuple[Callable[[Curves], np.ndarray], ...] = (
    lambda curves: curves.icl_score,
    lambda curves: curves.best_head("prefix_matching"),
    lambda curves: curves.loss,
)


def shallow_models(results: Results) -> dict[str, list[str]]:
    """Models of one and two layers by kind of architecture: what the study comes down to."""
    models = {name: results.config.studied[name] for name in courses(results)}
    found = {
        label: [n for n, m in models.items() if kind(m) == key and m.n_layers <= _SHALLOW]
        for key, label in _SERIES.items()
    }
    return {label: names for label, names in found.items() if names}


def summary(results: Results) -> Figure:
    """ICL score, best prefix matching and loss of one- and two-layer models, a column for each
    kind of architecture, with their bands."""
    series = shallow_models(results)
    figure, grid = plt.subplots(
        3, len(series), figsize=(8.6, 3.8), sharex=True, sharey="row", squeeze=False
    )
    ends: dict[Axes, dict[str, tuple[float, float]]] = {axes: {} for axes in grid.flat}
    for column, (title, names) in enumerate(series.items()):
        top, middle, bottom = grid[:, column]
        top.set_title(title, fontweight="bold")
        for first, seeds in by_kind(results, names).items():
            look = looks(results.config.studied)[first]
            if not seeds[1:]:
                curves = results.curves[first]
                shown = seen(curves)
                tokens, scores = curves.tokens[shown], (curves.late - curves.early)[shown]
                shade_interval(top, tokens, scores, look.color)
                shade_interval(middle, tokens, _best_sequences(curves)[shown], look.color)
            bottom.margins(y=0.12)
            for axes, quantity in zip((top, middle, bottom), _QUANTITIES, strict=True):
                ends[axes][first] = draw_seeds(axes, results, seeds, quantity)
                for name in seeds:
                    if band := results.models[name].band_tokens:
                        alpha = 0.13 / len(seeds)
                        axes.axvspan(*band, color=look.color, alpha=alpha, linewidth=0, zorder=0)
    # Names need the final limits, which all columns share.
    last = trained_range(results)[1]
    for row, cells_of_row in enumerate(grid):
        for axes in cells_of_row:
            token_axis(axes, "tokens trained" if row == len(grid) - 1 else "", ticks=(1.0,))
            axes.set_xlim(right=3.2 * last)
            label_right(axes, results, ends[axes], inches=1.0)
    labels = ("ICL score (nats)\nlower: learns more", "prefix matching\n(best head)")
    for axes, label in zip(grid[:, 0], (*labels, "validation loss\n(nats per token)"), strict=True):
        axes.set_ylabel(label, fontsize=7.5)
    return figure


def _best_sequences(curves: Curves) -> np.ndarray:
    """Prefix matching of each snapshot's best head on each probe: [snapshots, sequences]."""
    sequences = curves.prefix_sequences
    best = sequences.mean(axis=2).argmax(axis=1)
    return sequences[np.arange(len(best)), best]


def all_models(results: Results) -> Figure:
    """Loss, ICL score and best prefix matching of all models over one training axis."""
    figure, rows = plt.subplots(3, 1, figsize=(7, 5.9), sharex=True)
    labels = ("ICL score (nats)", "prefix matching\n(best head)", "loss (nats)")
    for axes, label, quantity in zip(rows, labels, _QUANTITIES, strict=True):
        kinds = by_kind(results, courses(results)).items()
        ends = {first: draw_seeds(axes, results, names, quantity) for first, names in kinds}
        token_axis(axes)
        axes.set_xlim(*trained_range(results))
        label_right(axes, results, ends, inches=1.6)
        axes.set_ylabel(label)
    for axes in rows[:-1]:
        axes.set_xlabel("")
    return figure


def icl_panels(results: Results) -> Figure:
    """One panel a model: its ICL score with its band, the other models faint behind it."""
    return panels_of_models(results, cells.icl_score, "ICL score (nats)")


def head_panels(results: Results, score: str, label: str) -> Figure:
    """One panel a model: a score of every head over training, labelled by layer.head."""
    figure = panels_of_models(results, cells.head_score(score, label_from=0.15), label)
    for axes in figure.axes:
        axes.set_ylim(-0.03, 1.03)
    return figure
