"""Loss, ICL score and head scores over training."""

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from induction.report.figures import cells
from induction.report.figures.axes import draw_all, panels_of_models
from induction.report.results import Results
from induction.study.curves import Curves


def summary(results: Results) -> Figure:
    """Loss, ICL score and best prefix matching of all models over one training axis."""
    figure, rows = plt.subplots(3, 1, figsize=(7, 7.5), sharex=True)
    quantities: list[tuple[str, Callable[[Curves], np.ndarray]]] = [
        ("loss (nats)", lambda curves: curves.loss),
        ("ICL score (nats)", lambda curves: curves.icl_score),
        ("prefix matching\n(best head)", lambda curves: curves.best_head("prefix_matching")),
    ]
    for axes, (label, quantity) in zip(rows, quantities, strict=True):
        draw_all(axes, results, quantity, 2.1)
        axes.set_ylabel(label)
    for axes in rows[:-1]:
        axes.set_xlabel("")
    return figure


def loss_curves(results: Results) -> Figure:
    """Validation loss of every model over tokens trained, labelled at the end of its curve."""
    figure, axes = plt.subplots(figsize=(7, 3.6))
    draw_all(axes, results, lambda curves: curves.loss, 3.0)
    axes.set_ylabel("validation loss (nats per token)")
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
