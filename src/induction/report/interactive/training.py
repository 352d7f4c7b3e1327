"""The slider through training: head scores, the point on the components and the ICL score."""

from typing import Any

import altair as alt
import polars as pl
from matplotlib.colors import to_hex

from induction.report.figures.axes import courses
from induction.report.figures.seeds import by_kind
from induction.report.interactive.page import chart, data, raw_html, template
from induction.report.results import Results
from induction.report.style import BAND, FAINT, looks
from induction.report.text import number, percent, short_tokens
from induction.rules.head_kinds import head_names

# Both are parameters of all three charts; a row of data holds from `tokens` up to `until`.
_CHOSEN = "datum.model == model"
_NOW = "datum.tokens <= tokens && tokens < datum.until"
_END = 1e18

Rows = list[dict[str, Any]]


def training_slider(results: Results) -> str:
    """The slider as a raw HTML block: choose a model and a snapshot, three charts follow."""
    moments = _moments(results)
    start = next((name for name in moments if name in results.changed), None)
    name = start or next(iter(moments))
    onset = results.models[name].onset_tokens or moments[name][-1]
    values = {
        "models": {
            model: {
                "tokens": tokens,
                "labels": [short_tokens(float(count)) for count in tokens],
                "readings": [_reading(results, model, count) for count in tokens],
            }
            for model, tokens in moments.items()
        },
        "order": list(moments),
        "start": {
            "model": name,
            "snapshot": next(k for k, tokens in enumerate(moments[name]) if tokens >= onset),
        },
    }
    return raw_html(
        "\n".join(
            [
                template("training.html"),
                data("training-data", values),
                chart("training-icl", icl_chart(results, moments)),
                chart("training-heads", heads_chart(results, moments)),
                chart("training-paths", paths_chart(results, moments)),
            ]
        )
    )


def _moments(results: Results) -> dict[str, list[int]]:
    """Tokens trained at the snapshots that the rules look at, for the first seed of each kind."""
    first = results.config.phase_change.min_tokens
    return {
        name: [count for count in curves.tokens.tolist() if count >= first]
        or curves.tokens.tolist()[-1:]
        for name in by_kind(results, courses(results))
        for curves in [results.curves[name]]
    }


def icl_chart(results: Results, moments: dict[str, list[int]]) -> alt.TopLevelMixin:
    """ICL score over training of all models, the chosen one in its colour with its band."""
    rows = [
        {"model": name, "tokens": tokens, "until": until, "icl": round(score, 4)}
        for name in moments
        for curves in [results.curves[name]]
        for (tokens, until), score in zip(
            _spans(moments[name]),
            curves.icl_score[-len(moments[name]) :].tolist(),
            strict=True,
        )
    ]
    bands = [
        {"model": name, "first": round(band[0]), "last": round(band[1])}
        for name in moments
        if (band := results.models[name].band_tokens)
    ]
    first, last = ends = _ends([row["tokens"] for row in rows])
    ticks = [lead * 10**power for power in range(16) for lead in (1, 2, 5)]
    shown = [tick for tick in ticks if first <= tick <= 1.05 * last]
    axis = {
        "scale": alt.Scale(type="log", nice=False, domain=ends),
        "axis": alt.Axis(format="~s", values=shown, grid=False),
        "title": "tokens trained",
    }
    x = alt.X("tokens:Q", **axis)
    y = alt.Y(
        "icl:Q",
        title="ICL score (nats)",
        scale=alt.Scale(domain=_ends([row["icl"] for row in rows])),
    )
    curves = alt.Chart(alt.InlineData(rows))
    return _chart(
        results,
        alt.Chart(alt.InlineData(bands))
        .transform_filter(_CHOSEN)
        .mark_rect(color=BAND, opacity=0.45)
        .encode(x=alt.X("first:Q", **axis), x2="last:Q"),
        curves.mark_line(color=FAINT, strokeWidth=1).encode(x=x, y=y, detail="model:N"),
        curves.transform_filter(_CHOSEN).mark_line().encode(x=x, y=y, color=_color(results)),
        alt.Chart(alt.InlineData([{}]))
        .transform_calculate(tokens="tokens")
        .mark_rule(color="#1f1f1f")
        .encode(x=x),
        curves.transform_filter(f"{_CHOSEN} && {_NOW}")
        .mark_point(filled=True, size=70, opacity=1)
        .encode(x=x, y=y, color=_color(results)),
        description="ICL score of the chosen model over training, a rule at the snapshot",
        height=200,
    )


def heads_chart(results: Results, moments: dict[str, list[int]]) -> alt.TopLevelMixin:
    """Every head of the chosen model at the snapshot: previous token across, prefix matching up."""
    rows = []
    for name in moments:
        curves = results.curves[name]
        for tokens, until in _spans(moments[name]):
            heads = curves.heads.filter(pl.col("tokens") == tokens)
            rows.append(
                {
                    "model": name,
                    "tokens": tokens,
                    "until": until,
                    "head": [head_names([head]) for head in heads["layer", "head"].rows()],
                    "layer": heads["layer"].to_list(),
                    "previous": heads["previous_token"].round(3).to_list(),
                    "prefix": heads["prefix_matching"].round(3).to_list(),
                }
            )
    unit = alt.Scale(domain=[0, 1])
    points = (
        alt.Chart(alt.InlineData(rows))
        .transform_filter(f"{_CHOSEN} && {_NOW}")
        .transform_flatten(["head", "layer", "previous", "prefix"])
        .encode(
            x=alt.X("previous:Q", title="previous-token score", scale=unit),
            y=alt.Y("prefix:Q", title="prefix-matching score", scale=unit),
            tooltip=["head:N", "previous:Q", "prefix:Q"],
        )
    )
    return _chart(
        results,
        points.mark_point(filled=True, size=60, opacity=0.85).encode(color=_color(results)),
        # Heads near the corner lie too close for labels.
        points.transform_filter("max(datum.previous, datum.prefix) > 0.15")
        .mark_text(align="left", dx=7, dy=-5)
        .encode(text="head:N"),
        description="Head scores of the chosen model at the snapshot, a labelled point for each",
        height=280,
    )


def paths_chart(results: Results, moments: dict[str, list[int]]) -> alt.TopLevelMixin:
    """Paths of all models through the first two components, a point where each of them is."""
    space = results.loss_space
    rows: Rows = []
    for name in moments:
        path = space.scores.filter(pl.col("model") == name)
        at = {tokens: (x, y) for tokens, x, y in path["tokens", "pc1", "pc2"].rows()}
        rows.extend(
            {
                "model": name,
                "tokens": tokens,
                "until": until,
                "pc1": round(at[tokens][0], 2),
                "pc2": round(at[tokens][1], 2),
            }
            for tokens, until in _spans(moments[name])
        )
    x, y = (
        alt.X("pc1:Q", **_component(results, rows, 1)),
        alt.Y("pc2:Q", **_component(results, rows, 2)),
    )
    order = alt.Order("tokens:Q")
    every = alt.Chart(alt.InlineData(rows))
    chosen = every.transform_filter(_CHOSEN)
    return _chart(
        results,
        every.mark_line(color=FAINT, strokeWidth=1).encode(x=x, y=y, detail="model:N", order=order),
        every.transform_filter(_NOW)
        .mark_point(filled=True, color="#8a8a8a", size=25, opacity=1)
        .encode(x=x, y=y, tooltip="model:N"),
        chosen.mark_line().encode(x=x, y=y, order=order, color=_color(results)),
        chosen.transform_filter(_NOW)
        .mark_point(filled=True, size=110, opacity=1)
        .encode(x=x, y=y, color=_color(results)),
        description="Paths of all models through two components, points at the snapshot",
        height=280,
    )


def _chart(
    results: Results, *layers: alt.Chart, description: str, height: int
) -> alt.TopLevelMixin:
    """Layers with the two parameters that the page sets, as wide as the page allows."""
    first = next(iter(results.config.studied))
    return (
        alt.layer(*layers)
        .add_params(alt.param(name="model", value=first), alt.param(name="tokens", value=1))
        .properties(width="container", height=height, description=description)
    )


def _component(results: Results, rows: Rows, number: int) -> dict[str, Any]:
    """Title and scale of an axis along one of the components."""
    share = percent(results.loss_space.explained.explained_variance[number - 1])
    ends = _ends([row[f"pc{number}"] for row in rows])
    return {"title": f"component {number} ({share})", "scale": alt.Scale(domain=ends)}


def _ends(values: list[float]) -> list[float]:
    """A fixed domain, so that the axes stay while the choice changes."""
    return [min(values), max(values)]


def _color(results: Results) -> alt.Color:
    style = looks(results.config.studied)
    colors = [to_hex(look.color) for look in style.values()]
    return alt.Color("model:N", scale=alt.Scale(domain=list(style), range=colors), legend=None)


def _spans(tokens: list[int]) -> list[tuple[int, float]]:
    """Each moment with the one that follows it."""
    return list(zip(tokens, [*tokens[1:], _END], strict=True))


def _reading(results: Results, name: str, tokens: int) -> str:
    """What the charts show of one model at one moment, in words."""
    curves, band = results.curves[name], results.models[name].band_tokens
    score = float(curves.icl_score[curves.tokens == tokens][0])
    where = "no phase change" if not band else "before its phase change"
    if band and tokens >= band[0]:
        where = "inside its phase change" if tokens <= band[1] else "after its phase change"
    heads = curves.heads.filter(pl.col("tokens") == tokens)
    best = ", ".join(
        f"best {words} {number(row[column])} (head {row['layer']}.{row['head']})"
        for column, words in (
            ("prefix_matching", "prefix matching"),
            ("previous_token", "previous-token score"),
        )
        for row in [heads.sort(column, descending=True, nulls_last=True).row(0, named=True)]
    )
    return (
        f"{name} at {short_tokens(float(tokens))} tokens ({where}): ICL score {number(score)}, "
        f"{best}."
    )
