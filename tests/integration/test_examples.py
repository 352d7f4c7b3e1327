"""The notebooks of examples/ run from top to bottom, and are kept without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
EXPECTED = {
    "score_your_model": "0 induction heads",
    "ask_the_published_results": "has the lower loss",
}


def said(notebook: nbformat.NotebookNode) -> str:
    """What the cells printed, and the tables they ended with."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = [output.get("text") or output["data"].get("text/plain", "") for output in outputs]
    return "\n".join(texts)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_kept_without_outputs(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert cells
    assert not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_notebook_runs(name):
    folder = ROOT / "examples"
    notebook = nbformat.read(folder / f"{name}.ipynb", as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    assert EXPECTED[name] in said(notebook)


def test_every_notebook_is_run():
    assert {path.stem for path in NOTEBOOKS} == set(EXPECTED)
