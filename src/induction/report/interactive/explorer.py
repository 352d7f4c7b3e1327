"""The attention explorer: every head's pattern and every token's change of loss on real text."""

from string import Template

import altair as alt
import numpy as np

from induction.explore.store import OnPassages
from induction.report.interactive.page import chart, data, packed, raw_html, template
from induction.report.interactive.view import (
    best_head,
    color_limit,
    explored,
    first_view,
    loss_change,
    visible,
)
from induction.report.results import Results
from induction.report.text import number, short_tokens
from induction.rules.head_kinds import Head, head_names


def explorer(results: Results) -> str:
    """The explorer as a raw HTML block: choose model, snapshot, head, passage and token.

    Raises StudyError when data/explorer is missing or damaged.
    """
    everything = explored(results)
    view = first_view(results, everything)
    changes = {name: loss_change(results, name, found) for name, found in everything.models.items()}
    limit = color_limit([change.values for change in changes.values()])
    heads = {name: _heads(found) for name, found in everything.models.items()}
    values = {
        "passages": [
            {
                "name": f"{place}: {passage.repeats} repeated pairs of tokens",
                "tokens": [visible(text) for text in passage.texts],
            }
            for place, passage in enumerate(everything.passages, start=1)
        ],
        "models": {
            name: {
                "heads": head_names(heads[name]).split(),
                "labels": [_label(results, name, head) for head in heads[name]],
                "best": heads[name].index(best_head(results, name)),
                "snapshots": [short_tokens(float(found.tokens[k])) for k in found.picked],
                "stretch": changes[name].stretch,
                "changes": np.round(np.nan_to_num(changes[name].values), 3).tolist(),
            }
            for name, found in everything.models.items()
        },
        "order": list(everything.models),
        "limit": limit,
        "start": {
            "model": view.model,
            "snapshot": view.picked,
            "head": heads[view.model].index(view.head),
            "passage": view.passage,
            "token": view.token,
        },
    }
    length = len(everything.passages[0].ids)
    markup = Template(template("explorer.html")).substitute(
        better=number(-limit, 1), worse=f"+{number(limit, 1)}"
    )
    return raw_html(
        "\n".join(
            [
                markup,
                data("explorer-data", values),
                chart("explorer-pattern", pattern_chart(length)),
                *(
                    packed(f"explorer-{name}", _percent(found))
                    for name, found in everything.models.items()
                ),
            ]
        )
    )


def pattern_chart(length: int) -> alt.TopLevelMixin:
    """A pattern as a heat map, query down and key across, with the chosen token's row framed.

    The page puts rows (query, key, percent, from, to) into the data set `pattern` and the chosen
    token into the parameter `token`.
    """
    no_grid, ends = alt.Axis(grid=False, zindex=1), {"domain": [0, length], "nice": False}
    x = {"scale": alt.Scale(**ends), "axis": no_grid, "title": "looks at token"}
    y = {"scale": alt.Scale(**ends, reverse=True), "axis": no_grid, "title": "from token"}
    cells = (
        alt.Chart(alt.InlineData([], name="pattern"))
        .transform_calculate(query_end="datum.query + 1", key_end="datum.key + 1")
        .mark_rect(strokeWidth=0)
        .encode(
            x=alt.X("key:Q", **x),
            x2="key_end:Q",
            y=alt.Y("query:Q", **y),
            y2="query_end:Q",
            color=alt.Color(
                "percent:Q",
                scale=alt.Scale(
                    domain=[0, 50, 100], range=["#fff", "#f0a030", "#6b3500"], interpolate="rgb"
                ),
                legend=alt.Legend(title="attention (%)", orient="top", gradientLength=160),
            ),
            tooltip=[
                alt.Tooltip("from:N"),
                alt.Tooltip("to:N"),
                alt.Tooltip("percent:Q", title="attention (%)"),
            ],
        )
    )
    frame = (
        alt.Chart(alt.InlineData([{}]))
        .transform_calculate(query="token", query_end="token + 1", key="0", key_end="token + 1")
        .mark_rect(filled=False, stroke="#1f1f1f", strokeWidth=1.5)
        .encode(x=alt.X("key:Q", **x), x2="key_end:Q", y=alt.Y("query:Q", **y), y2="query_end:Q")
    )
    return (
        alt.layer(cells, frame)
        .add_params(alt.param(name="token", value=0))
        .properties(width="container", height=380, description="Attention pattern of one head")
    )


def _heads(found: OnPassages) -> list[Head]:
    """The model's heads, in the order of its patterns."""
    n_layers, n_heads = found.patterns.shape[2:4]
    return [(layer, head) for layer in range(n_layers) for head in range(n_heads)]


def _label(results: Results, name: str, head: Head) -> str:
    kinds, label = results.models[name].kinds, head_names([head])
    named = (("induction head", kinds.induction), ("previous-token head", kinds.previous_token))
    found = [kind for kind, heads in named if head in heads]
    return f"{label} ({', '.join(found)})" if found else label


def _percent(found: OnPassages) -> bytes:
    """The patterns in whole percent, a byte each: what a reader sees, and a third smaller."""
    return np.round(found.patterns * (100 / 255)).astype(np.uint8).tobytes()
