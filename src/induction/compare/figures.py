"""Both runs drawn over each other: A dashed, hatched and hollow, B solid, filled and in colour."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from induction.compare.comparison import Comparison
from induction.compare.loss_space import PathThrough
from induction.report.figures.axes import mark_band, panel_grid, spread, token_axis
from induction.report.style import BAND, FAINT, Look, looks
from induction.report.text import percent, short_tokens
from induction.runs.metrics import Row
from induction.runs.run import Run

QUANTITIES = {
    "icl_score": "ICL score (nats)",
    "prefix_matching": "prefix matching (best head)",
    "loss": "validation loss (nats)",
}
_INK = "#1f1f1f"
_A = {"color": "#4d4d4d", "linestyle": (0, (4, 1.6)), "linewidth": 1.2}
_PANELS = {  # metrics that are set against each other, with the label of their axis
    "onset_tokens": "onset (tokens)",
    "icl_score": "ICL score (nats)",
    "loss": "loss (nats)",
    "max_prefix_matching": "prefix matching",
    "icl_removed_by_induction_heads": "ICL gain lost without\ninduction heads",
}


def shown_metrics(comparison: Comparison) -> list[str]:
    """Metrics with a panel: those that a model which differs has a value for."""
    known = {row.metric for row in comparison.rows if row.model in comparison.changed_models}
    return [metric for metric in _PANELS if metric in known]


def metrics(comparison: Comparison) -> Figure:
    """Metrics of every model that differs, A above B, with their intervals."""
    names, panels = comparison.changed_models, shown_metrics(comparison)
    figure, grid = plt.subplots(
        1, len(panels), figsize=(8.4, 1.1 + 0.42 * len(names)), sharey=True, squeeze=False
    )
    for metric, axes in zip(panels, grid[0], strict=True):
        for place, name in enumerate(names):
            for row in comparison.rows:
                if (row.model, row.metric) == (name, metric):
                    _estimates(axes, row, place, _looks(comparison)[name])
        axes.set_xlabel(_PANELS[metric])
        axes.xaxis.set_major_locator(MaxNLocator(3))
        if metric.endswith("_tokens"):
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short_tokens(value)))
        axes.grid(axis="y", visible=False)
        axes.set_ylim(len(names) - 0.5, -0.5)
        for place in range(1, len(names)):
            axes.axhline(place - 0.5, color=FAINT, linewidth=0.5)
    grid[0][0].set_yticks(range(len(names)), names)
    _legend(figure, comparison, linestyles=("", ""))
    return figure


def _estimates(axes: Axes, row: Row, place: int, look: Look) -> None:
    """A hollow circle with a dashed interval above a filled diamond with a solid one."""
    for value, ends, run in ((row.a, row.interval_a, "A"), (row.b, row.interval_b, "B")):
        if value is None:
            continue
        y = place - 0.15 if run == "A" else place + 0.15
        color = _A["color"] if run == "A" else look.color
        if ends:
            axes.plot(ends, [y, y], color=color, linestyle="--" if run == "A" else "-", lw=1.3)
        fill = "white" if run == "A" else color
        marker = "o" if run == "A" else "D"
        axes.plot(value, y, marker=marker, markersize=4.5, color=color, markerfacecolor=fill)


def curves_by_model(comparison: Comparison) -> Figure:
    """A row for each model that differs, a column for each quantity."""
    names, last = comparison.drawn_models, len(comparison.drawn_models) - 1
    figure, grid = plt.subplots(
        len(names), len(QUANTITIES), figsize=(8.4, 0.7 + 2.1 * len(names)), squeeze=False
    )
    for row, name in enumerate(names):
        for axes, (quantity, label) in zip(grid[row], QUANTITIES.items(), strict=True):
            _overlay(axes, comparison, name, quantity)
            axes.set_ylabel(label)
            token_axis(axes, "tokens trained" if row == last else "", ticks=(1.0,))
        grid[row][0].set_title(name, loc="left", fontweight="bold", color=_color(comparison, name))
    _curves_legend(figure, comparison)
    return figure


def curves(comparison: Comparison, quantity: str) -> Figure:
    """A panel for each model that differs, all with the same axes."""
    names = comparison.drawn_models
    figure, grid = panel_grid(len(names), 1.9, 0.7)
    for name, axes in zip(names, grid, strict=True):
        _overlay(axes, comparison, name, quantity)
        axes.set_title(name, fontweight="bold", color=_color(comparison, name))
        token_axis(axes, "", ticks=(1.0,))
    figure.supxlabel("tokens trained", fontsize=9)
    figure.supylabel(QUANTITIES[quantity], fontsize=9)
    _curves_legend(figure, comparison)
    return figure


def _overlay(axes: Axes, comparison: Comparison, name: str, quantity: str) -> None:
    """One quantity of one model in both runs, with the bands of both."""
    if band := _band(comparison.a, name):
        axes.axvspan(
            *band, facecolor="none", edgecolor="#8c8c8c", hatch="////", linewidth=0.6, zorder=0
        )
    mark_band(axes, _band(comparison.b, name))
    b_style = {"color": _color(comparison, name), "linewidth": 1.6}
    for run, style in ((comparison.a, _A), (comparison.b, b_style)):
        own = run.trained(name)
        if quantity in own:
            axes.plot(own["tokens"], own[quantity], **style)


def _band(run: Run, name: str) -> tuple[float, float] | None:
    ends = run.metrics.get(name, {}).get("band_tokens")
    return ends and (ends[0], ends[1])


def trajectories(comparison: Comparison) -> Figure:
    """Both runs in one space: models that differ in full, those that are alike faint behind."""
    space = comparison.space
    assert space is not None
    figure, axes = plt.subplots(figsize=(7.4, 5))
    ends = {}
    for name in sorted(space.alike):
        axes.plot(space.b[name]["pc1"], space.b[name]["pc2"], color=FAINT, linewidth=0.9)
        ends[f"{name} (same)"] = (_end(space.b[name]), "#767676")
    for name, path in space.a.items():
        if name not in space.alike:
            color = _color(comparison, name)
            axes.plot(path["pc1"], path["pc2"], color=color, linewidth=1.1, linestyle=(0, (4, 1.6)))
            _dot(axes, path, color, hollow=True)
            ends[f"{name}, A"] = (_end(path), color)
    for name, path in space.b.items():
        if name not in space.alike:
            color = _color(comparison, name)
            axes.plot(path["pc1"], path["pc2"], color=color, linewidth=1.5)
            _dot(axes, path, color, hollow=False)
            ends[f"{name}, B"] = (_end(path), color)
    _name_ends(axes, ends)
    axes.set_xlabel(f"component 1 ({percent(space.shares[0])} of the variance)")
    axes.set_ylabel(f"component 2 ({percent(space.shares[1])})")
    _legend(figure, comparison, linestyles=("--", "-"))
    return figure


def _dot(axes: Axes, path: PathThrough, color: tuple[float, float, float], hollow: bool) -> None:
    """Where a path ends."""
    x, y = _end(path)
    marker, fill = ("o", "white") if hollow else ("D", color)
    axes.plot(x, y, marker=marker, markersize=4.5, color=color, markerfacecolor=fill)


def _name_ends(axes: Axes, ends: dict) -> None:
    """Names at the right edge, in the order of the ends, so that none overlap."""
    low, high = axes.get_ylim()
    right = axes.get_xlim()[1]
    places = {name: end for name, (end, _) in ends.items()}
    for name, end, place in spread(places, (high - low) * 0.036, low):
        axes.annotate(
            name,
            end,
            xytext=(right + 0.02 * (right - axes.get_xlim()[0]), place),
            fontsize=7.5,
            color=ends[name][1],
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.5, "shrinkA": 0},
        )


def _end(path: PathThrough) -> tuple[float, float]:
    return float(path["pc1"][-1]), float(path["pc2"][-1])


def _color(comparison: Comparison, name: str) -> tuple[float, float, float]:
    return _looks(comparison)[name].color


def _looks(comparison: Comparison) -> dict[str, Look]:
    """Models that both runs have look like those of B."""
    return looks({**comparison.a.models, **comparison.b.models})


def _curves_legend(figure: Figure, comparison: Comparison) -> None:
    a = (Line2D([], [], **_A), Patch(facecolor="none", edgecolor="#8c8c8c", hatch="////"))
    b = (Line2D([], [], color=_INK, linewidth=1.6), Patch(facecolor=BAND, alpha=0.45))
    label_a, label_b = _labels(comparison)
    figure.legend(
        handles=[*a, *b],
        labels=[label_a, "its band", label_b, "its band"],
        loc="outside upper right",
        ncols=4,
        fontsize=8,
    )


def _legend(figure: Figure, comparison: Comparison, linestyles: tuple[str, str]) -> None:
    styles = zip("oD", ("white", _INK), linestyles, strict=True)
    a, b = (
        Line2D([], [], color=_INK, marker=marker, markerfacecolor=fill, linestyle=line)  # pyright: ignore[reportArgumentType]
        for marker, fill, line in styles
    )
    figure.legend(
        handles=[a, b], labels=_labels(comparison), loc="outside upper right", ncols=2, fontsize=8
    )


def _labels(comparison: Comparison) -> list[str]:
    """Long names of revisions are cut: the page has them in full."""
    labels = (comparison.a.label, comparison.b.label)
    shown = [label if len(label) <= 30 else f"{label[:29]}…" for label in labels]
    return [f"{run}: {label}" for run, label in zip("AB", shown, strict=True)]
