"""Tables and arrays of the study are read whole, or refused in one line that names the file."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from induction.compare import loss_space
from induction.errors import StudyError
from induction.files.tables import read_arrays, read_table
from induction.paths import StudyPaths

DAMAGED = {
    "missing": None,
    "empty": b"",
    "text": b"none",
    "half a zip": b"PK\3\4" + bytes(40),
    "half a table": b"PAR1" + bytes(40),
}


def refused(read: Callable[[], Any], path: Path) -> str:
    with pytest.raises(StudyError) as caught:
        read()
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_what_is_neither_is_named(content, tmp_path):
    path = tmp_path / "found"
    if content is not None:
        path.write_bytes(content)
    for read in (lambda: read_table(path), lambda: read_arrays(path, ())):
        assert refused(read, path).endswith(f"delete {tmp_path} and run `make study`")


def test_a_column_or_an_array_that_is_not_there_is_named(tmp_path):
    table, arrays = tmp_path / "t.parquet", tmp_path / "a.npz"
    pl.DataFrame({"a": [1]}).write_parquet(table)
    np.savez(arrays, a=np.ones(2))
    assert read_table(table, ("a",))["a"].to_list() == [1]
    assert read_arrays(arrays, ("a",))["a"].tolist() == [1, 1]
    assert "has no column b" in refused(lambda: read_table(table, ("a", "b")), table)
    assert "has no array b" in refused(lambda: read_arrays(arrays, ("a", "b")), arrays)


def test_a_comparison_names_a_damaged_space(tmp_path):
    run: Any = SimpleNamespace(paths=StudyPaths(tmp_path))
    assert loss_space._basis(run) == {}
    run.paths.results.mkdir(parents=True)
    for path in (run.paths.pca, run.paths.pca_basis, run.paths.pca_scores):
        path.write_bytes(b"PK\3\4")
    refused(lambda: loss_space._basis(run), run.paths.pca_basis)
    refused(lambda: loss_space._stored(run), run.paths.pca_scores)
