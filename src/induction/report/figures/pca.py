"""Trajectories of all models through the space of per-token losses."""

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.figure import Figure

from induction.report.figures.axes import label_left
from induction.report.figures.seeds import by_kind
from induction.report.results import Results
from induction.report.style import looks, marker_of
from induction.report.text import percent
from induction.study.kinds import kind_label


def trajectories(results: Results) -> Figure:
    """All models in the first two components; thick inside their bands, the first seed of each kind
    labelled at its end."""
    style = looks(results.config.studied)
    kinds = by_kind(results, results.config.studied)
    space = results.loss_space
    figure, axes = plt.subplots(figsize=(7, 4.6))
    ends = {}
    for name in results.config.studied:
        path = space.scores.filter((pl.col("model") == name) & pl.col("fitted"))
        look = style[name]
        axes.plot(
            *(path["pc1"], path["pc2"]),
            color=look.color,
            linestyle=look.linestyle,
            lw=1.2 if name in kinds else 0.6,
            marker=marker_of(path),
            markersize=3,
        )
        band = results.models[name].band_tokens
        if band:
            inside = path.filter(pl.col("tokens").is_between(*band))
            axes.plot(inside["pc1"], inside["pc2"], color=look.color, linewidth=4, alpha=0.45)
        if name in kinds:
            ends[name] = (path["pc1"][-1], path["pc2"][-1])
    left = min(x for x, _ in ends.values())
    width = axes.get_xlim()[1] - left
    labels = {name: (kind_label(kinds[name]), style[name].color) for name in ends}
    label_left(axes, ends, labels, lambda _: left - 0.06 * width, inches=4.0, fontsize=8)
    shares = space.explained.explained_variance
    axes.set_xlabel(f"component 1 ({percent(shares[0])} of the variance)")
    axes.set_ylabel(f"component 2 ({percent(shares[1])})")
    axes.set_xlim(left - (0.06 + 0.015 * max(map(len, ends))) * width)
    return figure
