"""Figures drawn by the cells and by the stage beside them: each once, with the same bytes."""

import os
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest

from induction.paths import StudyPaths
from induction.report import style
from induction.report.figures import shared
from induction.report.figures.catalogue import FIGURES
from induction.report.render.cells import run_cells
from induction.report.render.source import Source
from induction.report.results import load_results

REPORTS = Path(__file__).parents[1] / "reports"
SETTINGS = next(
    part for part in (REPORTS / "index.qmd").read_text().split("```") if "style.use_style" in part
)
CELL = """\
---
title: One figure
---

```{{python}}
#| include: false
import os
from pathlib import Path

from induction.paths import StudyPaths
from induction.report import style
from induction.report.figures.shared import show
from induction.report.results import load_results

style.use_style()
{magics}
results = load_results(StudyPaths(Path({root!r})))
```

```{{python}}
#| label: fig-one
#| fig-cap: One.
show({label!r}, results)
```
"""


@pytest.fixture
def drawing(monkeypatch) -> list[str]:
    """The labels of figures as they are drawn, in the place of the report's own."""
    drawn: list[str] = []

    class Entry:
        def __init__(self, label: str) -> None:
            self.label = label

        def draw(self, _results: object) -> plt.Figure:  # pyright: ignore[reportPrivateImportUsage]
            drawn.append(self.label)
            figure, axes = plt.subplots()
            axes.plot([0, len(drawn)])
            return figure

    entries = {label: Entry(label) for label in ("fig-a", "fig-b", "fig-c")}
    monkeypatch.setattr(shared, "FIGURES", entries)
    return drawn


def test_both_draw_until_they_meet(drawing, tmp_path, monkeypatch, study):
    results = load_results(StudyPaths(study.root))
    shown: list[str] = []
    monkeypatch.setattr(shared, "display_svg", lambda svg, raw: shown.append(svg))
    monkeypatch.setattr(plt, "show", lambda: None)
    monkeypatch.setenv(shared.FOLDER_VARIABLE, str(tmp_path))
    shared.show("fig-a", results)
    shared.draw_from_the_last(results, tmp_path)
    assert drawing == ["fig-a", "fig-c", "fig-b"]
    shared.show("fig-b", results)
    shared.show("fig-c", results)
    assert drawing == ["fig-a", "fig-c", "fig-b"]
    assert shown == [(tmp_path / f"{label}.svg").read_text() for label in ("fig-b", "fig-c")]
    monkeypatch.delenv(shared.FOLDER_VARIABLE)
    shared.show("fig-c", results)
    assert drawing[-1] == "fig-c"
    plt.close("all")


def shown_by_cells(source: Path, **variables: str) -> list[str]:
    backend = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    outputs = run_cells(Source(source, None), {**os.environ, **backend, **variables})
    return [
        one["data"]["image/svg+xml"] for each in outputs.values() for one in each if "data" in one
    ]


@pytest.mark.parametrize("label", ["fig-pca", "fig-prefix", "fig-maps"])
def test_the_bytes_do_not_tell_who_drew(label, study, tmp_path, monkeypatch):
    source, folder = tmp_path / "source", tmp_path / "figures"
    source.mkdir()
    folder.mkdir()
    magics = "\n".join(line for line in SETTINGS.splitlines() if line.startswith("%config"))
    cell = CELL.format(magics=magics, root=str(study.root), label=label)
    (source / "index.qmd").write_text(cell)
    (source / "_quarto.yml").write_text((REPORTS / "_quarto.yml").read_text())
    (source / "references.bib").write_text("")
    (by_cell,) = shown_by_cells(source)

    mpl.use("agg")
    style.use_style()
    monkeypatch.setattr(shared, "FIGURES", {label: FIGURES[label]})
    shared.draw_from_the_last(load_results(StudyPaths(study.root)), folder)
    assert (folder / f"{label}.svg").read_text() == by_cell

    (folder / f"{label}.svg").write_text("<svg/>")
    assert shown_by_cells(source, **{shared.FOLDER_VARIABLE: str(folder)}) == ["<svg/>"]
