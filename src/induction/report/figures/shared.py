"""The report's figures drawn from both ends: by the cells from the first on, by the stage that
renders the report from the last on. Each takes a core, and they end where they meet."""

import os
from pathlib import Path

import matplotlib.pyplot as plt
from IPython.core.pylabtools import print_figure
from IPython.display import display_svg

from induction.files import write_text
from induction.report.figures.catalogue import FIGURES
from induction.report.results import Results

FOLDER_VARIABLE = "INDUCTION_FIGURES"
"""Environment variable of the cells: the folder that both use; unset, the cells draw all."""

# As index.qmd sets the backend of the cells, so that the bytes do not tell who drew a figure.
SVG = {"bbox_inches": "tight", "metadata": {"Date": None}}


def show(label: str, results: Results) -> None:
    """Show a figure of the report in the cell that carries its label: drawn, or drawn already."""
    if folder := os.environ.get(FOLDER_VARIABLE):
        place = _place(Path(folder), label)
        if place.is_file():
            display_svg(place.read_text(encoding="utf-8"), raw=True)
            return
        _taken(place).touch()
    FIGURES[label].draw(results)
    plt.show()


def draw_from_the_last(results: Results, folder: Path) -> None:
    """Draw figures into the folder, the last one first, until one that the cells have taken."""
    for label in reversed(FIGURES):
        place = _place(folder, label)
        if _taken(place).exists():
            return
        figure = FIGURES[label].draw(results)
        svg = print_figure(figure, fmt="svg", **SVG)
        plt.close(figure)
        assert isinstance(svg, str)
        write_text(place, svg)


def _place(folder: Path, label: str) -> Path:
    return folder / f"{label}.svg"


def _taken(place: Path) -> Path:
    return place.with_suffix(".taken")
