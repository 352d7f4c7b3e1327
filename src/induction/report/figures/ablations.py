"""What taking heads out does to in-context learning."""

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.figure import Figure

from induction.report.figures import cells
from induction.report.figures.axes import panels_of_models
from induction.report.results import Results
from induction.report.style import FAINT, looks


def icl_attribution(results: Results) -> Figure:
    """One panel a model: change of the ICL score when a head is set to zero, over training."""
    return panels_of_models(
        results, cells.head_ablation("icl_attribution", label_from=0.05), "ICL attribution (nats)"
    )


def before_and_after(results: Results) -> Figure:
    """One panel a model: how far setting a head to zero takes the losses back along the change."""
    return panels_of_models(
        results, cells.head_ablation("before_after", label_from=1.0), "before-and-after score"
    )


def sets(results: Results) -> Figure:
    """Each model with induction heads: single heads, and sets of heads, at the end of training."""
    names = [
        name
        for name in results.config.studied
        if not results.ablations[name].last_sets.filter(pl.col("set") == "induction").is_empty()
    ]
    style = looks(results.config.studied)
    figure, axes = plt.subplots(figsize=(7.4, 0.9 + 0.75 * max(len(names), 1)))
    axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
    for place, name in enumerate(reversed(names)):
        table = results.ablations[name]
        color = style[name].color
        singles = table.last_heads["icl_attribution"]
        axes.scatter(singles, [place + 0.22] * len(singles), s=9, color=color, alpha=0.6)
        for offset, kind, marker in ((0.0, "induction", "D"), (-0.18, "previous_token", "s")):
            for row in table.last_sets.filter(pl.col("set") == kind).iter_rows(named=True):
                value = row["icl_attribution"]
                axes.plot(
                    [row["icl_low"], row["icl_high"]], [place + offset] * 2, color=color, lw=1.2
                )
                axes.plot(value, place + offset, marker=marker, color=color, markersize=5)
                axes.annotate(
                    f"{kind.replace('_', ' ')}: {row['heads']}",
                    (max(value, row["icl_high"]), place + offset),
                    xytext=(5, 0),
                    textcoords="offset points",
                    fontsize=7,
                    va="center",
                )
        random = table.last_sets.filter(pl.col("set") == "random")["icl_attribution"]
        axes.scatter(
            random, [place - 0.34] * len(random), s=14, marker="x", color="#555555", linewidth=0.9
        )
    axes.set_yticks(range(len(names)), list(reversed(names)))
    axes.set_xlabel("change of the ICL score (nats); right: less in-context learning")
    axes.margins(x=0.25)
    return figure
