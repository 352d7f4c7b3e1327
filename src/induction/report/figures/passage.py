"""Attention on real text, as the explorer of the web page first shows it."""

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from induction.report.interactive.view import (
    color_limit,
    explored,
    first_view,
    loss_change,
    visible,
)
from induction.report.results import Results

LOSS = LinearSegmentedColormap.from_list("loss", ["#4393c3", "#ffffff", "#d6604d"])
ATTENTION = LinearSegmentedColormap.from_list("attention", ["#ffffff", "#f0a030"])
PATTERN = LinearSegmentedColormap.from_list("pattern", ["#ffffff", "#f0a030", "#6b3500"])

_POINTS = 8.0  # of the text
_ADVANCE = 0.602 * _POINTS / 72  # inches: width of a character of DejaVu Sans Mono
LINE = 1.9 * _POINTS / 72  # inches
COLUMNS = 88
DASHED = (0, (2, 1))
_BAR = 0.14  # inches: width of a colour bar
_PATTERN = 3.0  # inches
GAP = 0.42  # inches: room for a heading


def attention_on_text(results: Results) -> Figure:
    """The passage, head and token that the explorer starts with: change of every token's loss,
    attention from the chosen token, and the head's whole pattern.

    The chosen token is framed, the one after it dashed; where the loss rose, tokens are hatched.
    """
    everything = explored(results)
    view = first_view(results, everything)
    found = everything.models[view.model]
    change = loss_change(results, view.model, found)
    attention = found.attention(view.picked, view.passage, *view.head)
    texts = [visible(text) for text in everything.passages[view.passage].texts]
    places = lay_out(texts, COLUMNS)
    values = change.values[view.passage]
    limit = color_limit([change.values])
    head = f"head {view.head[0]}.{view.head[1]} of {view.model}"

    lines = places[-1][0] + 1
    framed = {view.token: ("#000000", "-"), view.token + 1: ("#000000", DASHED)}
    page = Page(lines, height=2 * (lines * LINE + GAP) + _PATTERN + GAP + 0.4)
    axes = page.text(f"Change of loss (nats), {view.model}, from {change.stretch}")
    scale = Normalize(-limit, limit)
    draw_tokens(axes, texts, places, LOSS(scale(np.nan_to_num(values))), framed, values > 0)
    page.bar(axes, LOSS, scale)
    axes = page.text(f"Attention of {head} from the framed token")
    row = attention[view.token]
    draw_tokens(axes, texts, places, ATTENTION(row), framed)
    page.bar(axes, ATTENTION, Normalize(0, 1))
    axes = page.square(f"Pattern of {head}")
    _pattern(axes, attention, view.token)
    page.bar(axes, PATTERN, Normalize(0, 1))
    return page.figure


def on_text(results: Results) -> pl.DataFrame:
    """What `attention_on_text` shows, a row for each token of the passage: its text, the change of
    its loss (nats), and how much of its attention goes to each token (`to_0`, `to_1` …)."""
    everything = explored(results)
    view = first_view(results, everything)
    found = everything.models[view.model]
    change = loss_change(results, view.model, found).values[view.passage]
    attention = found.attention(view.picked, view.passage, *view.head)
    texts = everything.passages[view.passage].texts
    return pl.DataFrame(
        {
            "token": np.arange(len(texts)),
            "text": [visible(text) for text in texts],
            "loss_change": change,
            "chosen": np.arange(len(texts)) == view.token,
            **{f"to_{key}": column for key, column in enumerate(attention.T)},
        },
        nan_to_null=True,
    )


def lay_out(texts: Sequence[str], columns: int) -> list[tuple[int, int]]:
    """Line and column of every token in a grid of characters: a new line after a break (⏎), and
    before a token that would cross the right edge."""
    places, line, column = [], 0, 0
    for text in texts:
        if column and column + len(text) > columns:
            line, column = line + 1, 0
        places.append((line, column))
        column += len(text)
        if "⏎" in text:
            line, column = line + 1, 0
    return places


class Page:
    """A figure filled from above with axes whose data units are characters and lines.

    height: of all of it, in inches.
    """

    def __init__(self, lines: int, height: float):
        self.lines = lines
        self.width = COLUMNS * _ADVANCE + 0.9
        self.height = height
        self.figure = plt.figure(figsize=(self.width, self.height))
        self.figure.set_layout_engine("none")
        self.top = self.height

    def text(self, title: str) -> Axes:
        """Axes for the passage; y counts lines, x characters."""
        axes = self._axes(COLUMNS * _ADVANCE, self.lines * LINE, title)
        axes.set(xlim=(0, COLUMNS), ylim=(self.lines, 0))
        axes.axis("off")
        return axes

    def square(self, title: str) -> Axes:
        return self._axes(_PATTERN, _PATTERN, title, left=0.45)

    def bar(self, axes: Axes, colors: Colormap, scale: Normalize) -> None:
        """A colour bar to the right of axes."""
        box = axes.get_position()
        place = (box.x1 + 0.12 / self.width, box.y0, _BAR / self.width, box.height)
        bar = self.figure.colorbar(
            ScalarMappable(scale, colors),
            cax=self.figure.add_axes(place, label="<colorbar>"),
            extend="neither",
        )
        bar.ax.tick_params(labelsize=7)
        bar.ax.locator_params(nbins=4)

    def _axes(self, width: float, height: float, title: str, left: float = 0.0) -> Axes:
        self.top -= GAP + height
        axes = self.figure.add_axes(
            (left / self.width, self.top / self.height, width / self.width, height / self.height)
        )
        axes.set_title(title, loc="left", fontsize=9, parse_math=False)
        axes.grid(False)
        return axes


def draw_tokens(
    axes: Axes,
    texts: Sequence[str],
    places: Sequence[tuple[int, int]],
    colors: np.ndarray,
    framed: Mapping[int, tuple[str, str | tuple]],
    hatched: np.ndarray | None = None,
) -> None:
    """Tokens as text on their colours. framed: colour and line style of the frames of some."""
    for number, (text, (line, column)) in enumerate(zip(texts, places, strict=True)):
        axes.add_patch(
            Rectangle(
                (column, line + 0.06),
                len(text),
                0.88,
                facecolor=colors[number],
                edgecolor="#ffffff80",
                linewidth=0,
                hatch="////" if hatched is not None and hatched[number] else None,
            )
        )
        # Text of the corpus may hold dollar signs, which would start a formula.
        axes.text(
            column, line + 0.5, text, family="DejaVu Sans Mono", size=_POINTS, va="center_baseline",
            parse_math=False,
        )  # fmt: skip
        if number in framed:
            color, style = framed[number]
            frame = Rectangle((column, line + 0.06), len(text), 0.88, fill=False, zorder=3)
            frame.set(edgecolor=color, linestyle=style)
            axes.add_patch(frame)


def _pattern(axes: Axes, attention: np.ndarray, chosen: int) -> None:
    length = len(attention)
    # Cells as vectors, and only those that can be told from white.
    rows, columns = np.nonzero(attention >= 0.005)
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    cells = np.stack([columns, rows], axis=1)[:, None] + corners
    axes.add_collection(
        PolyCollection(list(cells), facecolors=PATTERN(attention[rows, columns]), edgecolors="none")
    )
    axes.set(xlim=(0, length), ylim=(length, 0))
    axes.add_patch(Rectangle((0, chosen), chosen + 1, 1, fill=False, linewidth=0.8))
    axes.set_xlabel("looks at token", fontsize=8)
    axes.set_ylabel("from token", fontsize=8)
    axes.tick_params(labelsize=7)
