"""What models do in context beyond scores of heads, with and without their induction heads."""

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from induction.report.figures import cells
from induction.report.figures.axes import courses, panel_grid, token_axis, trained_range
from induction.report.results import Results
from induction.report.style import FAINT, looks, marker_of
from induction.rules.head_kinds import head_names
from induction.study.behaviours import Behaviours

_KEY = ("behaviour", "variant")
# Black: literal; blue and purple: loose; warm and dashed: abstract. More variants than colours
# begin again.
_LOOKS = {
    "literal": (("#000000", "-"), ("#777777", "-")),
    "loose": (("#0b3c78", "-"), ("#3f8fd0", "-"), ("#7ec4cf", "-"), ("#7b3f98", "-")),
    "abstract": (
        *(("#b2182b", (0, (4, 1.5))), ("#e66101", (0, (4, 1.5)))),
        *(("#b8860b", (0, (4, 1.5))), ("#8c6d5a", (0, (4, 1.5)))),
    ),
}
_MARKS = (
    ("intact", "intact", "o", "intact"),
    ("ablated", "induction", "D", "without induction heads"),
    ("knocked out", "induction", "v", "without their pattern"),
    ("ablated", "random", "x", "without random others"),
)


def judged(results: Results) -> list[tuple[str, str, str]]:
    """Behaviour, variant and kind of all that some model was asked and that is no control."""
    found: dict[tuple[str, str, str], None] = {}
    for own in results.behaviours.values():
        found |= dict.fromkeys(_judged(own).iter_rows())
    return list(found)


def _judged(own: Behaviours) -> pl.DataFrame:
    """Those of one model: another tokenizer may leave room for other numbers of shots."""
    asked = own.tasks.filter(pl.col("why_not").is_null() & (pl.col("kind") != "control"))
    return asked.select(*_KEY, "kind")


def at_the_end(results: Results) -> pl.DataFrame:
    """A row for each model, judged variant and condition at the last snapshot.

    above_chance: accuracy on a scale where 0 is chance and 1 is perfect, mean over random sets;
    low and high: its 95 % interval, of the intact model alone. loss: of the answers, in nats.
    """
    rows = [_last_rows(results, name) for name in results.behaviours]
    return pl.concat(rows)


def _last_rows(results: Results, name: str) -> pl.DataFrame:
    own = results.behaviours[name]
    last = own.behaviours.filter(pl.col("step") == pl.col("step").max())
    means = last.group_by(*_KEY, "condition", "heads", maintain_order=True).agg(
        pl.col("accuracy").mean(), pl.col("loss").mean(), pl.col("chance").first()
    )
    of_intact = pl.DataFrame(
        [
            {"behaviour": result.behaviour, "variant": result.variant, "condition": "intact"}
            | {"low": result.above_chance(result.accuracy_low)}
            | {"high": result.above_chance(result.accuracy_high)}
            for result in results.models[name].behaviours
        ],
        schema={"behaviour": pl.String, "variant": pl.String, "low": pl.Float64}
        | {"high": pl.Float64, "condition": pl.String},
    )
    return (
        means.join(_judged(own), on=_KEY, maintain_order="left")
        .join(of_intact, on=[*_KEY, "condition"], how="left", maintain_order="left")
        .select(
            pl.lit(name).alias("model"),
            *(*_KEY, "condition", "heads", "chance", "accuracy"),
            ((pl.col("accuracy") - pl.col("chance")) / (1 - pl.col("chance"))).alias(
                "above_chance"
            ),
            *("low", "high", "loss"),
        )
    )


def over_training(results: Results) -> pl.DataFrame:
    """A row for each model, judged variant and snapshot of the intact model: accuracy above chance,
    and attention to the right places of the head that looks there most at the end."""
    rows = []
    for name, own in results.behaviours.items():
        best = pl.DataFrame(
            [
                (result.behaviour, result.variant, head_names([result.head]))
                for result in results.models[name].behaviours
            ],
            schema=dict.fromkeys((*_KEY, "head"), pl.String),
            orient="row",
        )
        attention = (
            own.attention.with_columns(pl.format("{}.{}", "layer", "head").alias("head"))
            .join(best, on=[*_KEY, "head"])
            .select(*_KEY, "step", "head", "attention", "uniform")
        )
        scale = (pl.col("accuracy") - pl.col("chance")) / (1 - pl.col("chance"))
        rows.append(
            own.behaviours.filter(pl.col("condition") == "intact")
            .join(_judged(own), on=_KEY, maintain_order="left")
            .join(attention, on=[*_KEY, "step"], maintain_order="left")
            .with_columns(pl.lit(name).alias("model"), scale.alias("above_chance"))
            .select("model", "tokens", *_KEY, "above_chance", "loss", *attention.columns[3:])
        )
    return pl.concat(rows)


def with_and_without(results: Results) -> Figure:
    """One panel a listed model: accuracy of every behaviour, intact and without heads, at the
    end."""
    names, table = results.listed, at_the_end(results)
    order = [f"{behaviour}: {variant}" for behaviour, variant, _ in judged(results)]
    figure, grid = panel_grid(len(names), 0.4 + 0.17 * len(order), 0.7)
    style = looks(results.config.studied)
    for name, axes in zip(names, grid, strict=True):
        _dots(axes, table.filter(pl.col("model") == name), order, style[name].color)
        axes.set_title(name, color=style[name].color, fontweight="bold")
        axes.tick_params(labelsize=7)
    grid[0].set_yticks(range(len(order)), order)
    grid[0].invert_yaxis()
    figure.supxlabel("accuracy: 0 is chance, 1 is perfect", fontsize=9)
    marks = [
        Line2D(
            *([], []),
            marker=marker,
            markerfacecolor="none" if condition == "knocked out" else None,
            linestyle="",
            color="#555555",
            markersize=4,
            label=label,
        )
        for condition, _, marker, label in _MARKS
    ]
    figure.legend(handles=marks, loc="outside upper center", ncols=len(marks), fontsize=8)
    return figure


def _dots(axes: Axes, table: pl.DataFrame, order: list[str], color: tuple) -> None:
    axes.axvline(0, color=FAINT, linewidth=0.8, zorder=0)
    for place, (condition, heads, marker, _) in enumerate(_MARKS):
        rows = table.filter(pl.col("condition") == condition)
        if condition != "intact":
            rows = rows.filter(pl.col("heads") == heads)
        height = [
            order.index(f"{behaviour}: {variant}") + 0.18 * (place - 1.5)
            for behaviour, variant in rows.select(*_KEY).iter_rows()
        ]
        if condition == "intact":
            for y, low, high in zip(height, rows["low"], rows["high"], strict=True):
                axes.plot([low, high], [y, y], color=color, linewidth=1)
        shade = "#555555" if heads == "random" else color
        dots = axes.scatter(
            rows["above_chance"], height, s=11, marker=marker, color=shade, linewidth=0.9
        )
        if condition == "knocked out":
            dots.set_facecolor("none")


def rise(results: Results) -> Figure:
    """A column for each listed model with a course: ICL score, accuracy, and attention to the right
    place over training."""
    names = [name for name in courses(results) if name in results.listed]
    table = over_training(results)
    figure, grid = plt.subplots(
        3, len(names), figsize=(max(1.1 * len(names), 5.0), 4.6), sharey="row", squeeze=False
    )
    style, lines = looks(results.config.studied), _lines(judged(results))
    for name, column in zip(names, grid.T, strict=True):
        cells.icl_score(column[0], results, name)
        column[0].set_title(name, color=style[name].color, fontsize=8, fontweight="bold")
        own = table.filter((pl.col("model") == name) & (pl.col("tokens") > 0))
        for (behaviour, variant), (color, dash) in lines.items():
            rows = own.filter(pl.col("behaviour") == behaviour, pl.col("variant") == variant)
            for axes, quantity in zip(column[1:], ("above_chance", "attention"), strict=True):
                axes.plot(
                    *(rows["tokens"], rows[quantity]),
                    color=color,
                    linestyle=dash,
                    lw=1.1,
                    marker=marker_of(rows),
                    markersize=2,
                )
        for axes in column:
            token_axis(axes, "", ticks=(1.0,))
            axes.minorticks_off()
            axes.set_xlim(*trained_range(results))
            axes.tick_params(labelsize=6, labelbottom=axes is column[-1])
    labels = (
        "ICL score\n(nats)",
        "accuracy\n(0: chance, 1: perfect)",
        "attention to\nright places",
    )
    for axes, label in zip(grid[:, 0], labels, strict=True):
        axes.set_ylabel(label, fontsize=7)
    figure.supxlabel("tokens trained", fontsize=8)
    handles = [
        Line2D([], [], color=color, linestyle=dash, label=f"{behaviour}: {variant}")
        for (behaviour, variant), (color, dash) in lines.items()
    ]
    figure.legend(handles=handles, loc="outside upper center", ncols=3, fontsize=7)
    return figure


def _lines(shown: list[tuple[str, str, str]]) -> dict[tuple[str, str], tuple]:
    """Colour and line style of each variant."""
    taken = dict.fromkeys(_LOOKS, 0)
    found = {}
    for behaviour, variant, kind in shown:
        found[behaviour, variant] = _LOOKS[kind][taken[kind] % len(_LOOKS[kind])]
        taken[kind] += 1
    return found
