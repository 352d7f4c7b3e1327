"""What the weights say of a head against what it does on probes."""

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from induction.report.figures.axes import label_left
from induction.report.results import Results
from induction.report.style import FAINT, looks

_MANY = 100


def weights_against_probes(results: Results) -> Figure:
    """Every head of every model at the end of training: OV against copying, QK against prefix
    matching."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.6))
    _scatter(left, results, "ov_eigenvalue", "copying")
    left.set_xlabel("OV eigenvalue score (weights)")
    left.set_ylabel("copying score (random tokens)")
    _scatter(right, results, "qk_eigenvalue", "prefix_matching")
    right.set_xlabel("QK eigenvalue score (weights)")
    right.set_ylabel("prefix-matching score (random tokens)")
    return figure


def _scatter(axes: Axes, results: Results, x: str, y: str) -> None:
    style = looks(results.config.studied)
    axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
    ends, labels = {}, {}
    for name, curves in results.curves.items():
        last = curves.last_heads.filter(pl.col(x).is_not_null())
        if last.is_empty():
            continue
        axes.scatter(
            last[x],
            last[y],
            color=style[name].color,
            # Hundreds of heads are a background.
            s=16 if len(last) < _MANY else 4,
            zorder=2 if len(last) < _MANY else 1,
            marker={1: "o", 2: "s", 3: "^"}.get(results.config.studied[name].n_layers, "D"),
        )
        top = last.sort(y, descending=True).row(0, named=True)
        if top["prefix_matching"] >= results.config.head_kinds.prefix_matching:
            ends[name] = (top[x], top[y])
            labels[name] = (f"{name} {top['layer']}.{top['head']}", style[name].color)
    left, right = axes.get_xlim()
    width = right - left
    room = left + 0.3 * width  # a label further left would leave the axes
    label_left(axes, ends, labels, lambda x: max(x - 0.06 * width, room), inches=3.0, fontsize=7)
