"""Tables and arrays that a stage left in its folder; damaged ones are refused in one line."""

import zlib
from collections.abc import Collection
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import polars as pl

from induction.errors import StudyError


def read_table(path: Path, columns: Collection[str] = ()) -> pl.DataFrame:
    """A table with these columns among its own; StudyError names the file otherwise."""
    try:
        table = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise StudyError(f"{path}: not a table of this study: {error}: {_way_out(path)}") from None
    if missing := set(columns) - set(table.columns):
        raise StudyError(f"{path}: has no column {min(missing)}: {_way_out(path)}")
    return table


def read_arrays(path: Path, names: Collection[str]) -> dict[str, np.ndarray]:
    """All arrays of a file by name, these among them; StudyError names the file otherwise."""
    try:
        with np.load(path) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except (OSError, EOFError, TypeError, ValueError, BadZipFile, zlib.error) as error:
        raise StudyError(f"{path}: no arrays of this study: {error}: {_way_out(path)}") from None
    if missing := set(names) - found.keys():
        raise StudyError(f"{path}: has no array {min(missing)}: {_way_out(path)}")
    return found


def _way_out(path: Path) -> str:
    return f"delete {path.parent} and run `make study`"
