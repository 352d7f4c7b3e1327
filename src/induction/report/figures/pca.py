"""Trajectories of all models through the space of per-token losses."""

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.figure import Figure

from induction.report.results import Results
from induction.report.style import looks


def trajectories(results: Results) -> Figure:
    """All models in the first two components; thick inside their bands, labelled at their ends."""
    style = looks(results.config.models)
    space = results.loss_space
    figure, axes = plt.subplots(figsize=(7, 4.6))
    for name in results.config.models:
        path = space.scores.filter((pl.col("model") == name) & pl.col("fitted"))
        look = style[name]
        axes.plot(path["pc1"], path["pc2"], color=look.color, linestyle=look.linestyle, lw=1.2)
        band = results.metrics[name]["band_tokens"]
        if band:
            inside = path.filter(pl.col("tokens").is_between(*band))
            axes.plot(inside["pc1"], inside["pc2"], color=look.color, linewidth=4, alpha=0.45)
        axes.annotate(
            name,
            (path["pc1"][-1], path["pc2"][-1]),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=8,
            color=look.color,
            va="center",
        )
    shares = space.explained_variance
    axes.set_xlabel(f"component 1 ({shares[0]:.0%} of the variance)")
    axes.set_ylabel(f"component 2 ({shares[1]:.0%})")
    axes.margins(x=0.12)
    return figure
