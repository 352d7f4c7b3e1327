"""The report's figures show what their tables say, and every one of them is in the catalogue."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.figure import Figure

from induction.paths import StudyPaths
from induction.report.figures.catalogue import FIGURES
from induction.report.results import Results, load_results

matplotlib.use("agg")
SOURCE = (Path(__file__).parents[2] / "reports" / "index.qmd").read_text()
CELLS = re.findall(r"^#\| label: (fig-\S+)\n(.*?)^```$", SOURCE, re.MULTILINE | re.DOTALL)
CURVES = 4  # shorter lines are axes and marks


@pytest.fixture(scope="module")
def results(study) -> Results:
    return load_results(StudyPaths(study.root))


@pytest.mark.parametrize(("label", "cell"), CELLS)
def test_every_figure_is_shown_from_the_catalogue_and_leads_to_its_data(label, cell):
    assert f'show("{label}", results)' in cell
    assert f"[Data and code](#data-{label})" in cell


def test_the_catalogue_has_no_other_figures():
    assert [label for label, _ in CELLS] == sorted(FIGURES, key=[label for label, _ in CELLS].index)


@pytest.mark.parametrize("label", FIGURES)
def test_a_figure_shows_the_numbers_of_its_table(label, results):
    labels = (label, *FIGURES[label].also)
    missing = _missing(FIGURES[label].draw(results), [_table(other, results) for other in labels])
    plt.close("all")
    assert missing == []


def test_the_numbers_of_another_table_are_told_apart(results):
    figure = FIGURES["fig-previous"].draw(results)
    missing = _missing(figure, [_table("fig-prefix", results)])
    plt.close("all")
    assert missing


def _table(label: str, results: Results) -> pl.DataFrame:
    return pl.read_csv(io.StringIO(FIGURES[label].csv(results)), infer_schema_length=None)


def _missing(figure: Figure, tables: list[pl.DataFrame]) -> list[float]:
    """Numbers that the figure shows along its vertical axis and no table holds."""
    columns = [table.select(pl.selectors.numeric()).to_numpy().ravel() for table in tables]
    known = np.unique(np.concatenate(columns).astype(float))
    known = known[np.isfinite(known)]
    if not len(known):  # a model without induction heads has no prompt to look at
        return [float(value) for shown in _shown(figure) for value in shown]
    shown = np.concatenate([*_shown(figure), [known[0]]])
    shown = shown[np.isfinite(shown)]
    place = np.clip(np.searchsorted(known, shown), 1, len(known) - 1)
    nearest = np.minimum(np.abs(known[place] - shown), np.abs(known[place - 1] - shown))
    return shown[nearest > 1e-4 * np.abs(shown) + 1e-9].tolist()


def _shown(figure: Figure) -> Iterator[np.ndarray]:
    for axes in figure.axes:
        if axes.get_label() == "<colorbar>":
            continue
        for line in axes.lines:
            if len(line.get_xdata()) >= CURVES:  # pyright: ignore[reportArgumentType]
                yield np.asarray(line.get_ydata(), float)
        for collection in axes.collections:
            if isinstance(collection, QuadMesh):
                yield np.asarray(collection.get_array(), float).ravel()
            elif isinstance(collection, PathCollection):
                # The dot plot of ablated heads has its numbers along the horizontal axis.
                sideways = axes.get_ylabel() == ""
                yield np.asarray(collection.get_offsets(), float)[:, 0 if sideways else 1]
