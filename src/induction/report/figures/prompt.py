"""One prompt with the attention of one head, as the section on argument 4 shows it."""

import numpy as np
import polars as pl
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from induction.report.figures.axes import nothing
from induction.report.figures.passage import (
    ATTENTION,
    COLUMNS,
    DASHED,
    GAP,
    LINE,
    Page,
    draw_tokens,
    lay_out,
)
from induction.report.interactive.view import visible
from induction.report.prompts import chosen_prompt
from induction.report.results import Results

_FRAMES = {"right": ("#1b6e2d", "-"), "wrong": ("#b2182b", DASHED)}


def attention_on_prompt(results: Results) -> Figure:
    """The chosen prompt: attention from its last token, right places framed, wrong ones dashed.

    Colours end at the most that any token but the first gets; the first may get more.
    """
    prompt = chosen_prompt(results)
    if prompt is None:
        return nothing("no model has induction heads")
    texts = [visible(text) for text in prompt.tokens["text"]]
    texts.append(f"[{visible(prompt.answer)}]")
    attention = prompt.tokens["attention"].to_numpy()
    scale = Normalize(0, max(float(attention[1:].max()), 0.01), clip=True)
    places = lay_out(texts, COLUMNS)
    framed = {n: _FRAMES[place] for n, place in enumerate(prompt.tokens["place"]) if place}
    lines = places[-1][0] + 1
    page = Page(lines, height=lines * LINE + GAP + 0.15)
    axes = page.text(f"{prompt.task}: attention of head {prompt.head} of {prompt.model}")
    draw_tokens(axes, texts, places, np.array(ATTENTION(scale([*attention, 0.0]))), framed)
    page.bar(axes, ATTENTION, scale)
    return page.figure


def on_prompt(results: Results) -> pl.DataFrame:
    """What `attention_on_prompt` shows, a row for each token."""
    prompt = chosen_prompt(results)
    if prompt is None:
        return pl.DataFrame({"model": []})
    about = {"model": prompt.model, "task": prompt.task, "head": prompt.head}
    visibly = pl.col("text").map_elements(visible, return_dtype=pl.String)
    columns = [pl.lit(value).alias(name) for name, value in about.items()]
    return prompt.tokens.with_columns(visibly).select(*columns, pl.all())
