"""Files that are either whole or not there, and records in them."""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
from pydantic import TypeAdapter, ValidationError

from induction.errors import StudyError

Record = TypeVar("Record")


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def md5(path: Path) -> str:
    """MD5 of a file, in hexadecimal: what DVC names contents by. It guards against nothing."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def size_text(count: float) -> str:
    """Bytes for people: `3 MB`, `1.4 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a scratch path beside `path`; what is written there takes its place if all ends well.

    Readers see the old file or the new one, never a part, and a file linked into DVC's cache is
    replaced, not written into. What a killed process left of the same file is deleted.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{path.name}.*"):
        if left.suffix[1:].isdecimal() and not psutil.pid_exists(int(left.suffix[1:])):
            left.unlink(missing_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield scratch
        flush(scratch)
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, indent: int = 2) -> None:
    """Write sorted, indented JSON, whole or not at all. NaN is refused (ValueError)."""
    write_text(path, json.dumps(value, indent=indent, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; StudyError names the file when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(f"{path}: missing: `make study` makes it") from None
    except (ValueError, RecursionError) as error:
        raise StudyError(f"{path}: damaged: {error}: delete it and run `make study`") from None


def write_record(path: Path, kind: type[Record], value: Record, digits: int | None = None) -> None:
    """Write what `read_record` reads; with so many significant digits where not all are wanted."""
    values = TypeAdapter(kind).dump_python(value, mode="json")
    if digits is None:
        return write_json(path, values)
    whole = json.dumps(values, allow_nan=False)
    rounded = json.loads(whole, parse_float=lambda text: float(f"{float(text):.{digits}g}"))
    return write_json(path, rounded, indent=1)


def read_record(path: Path, kind: type[Record]) -> Record:
    """Read JSON as a record of checked fields, or as a list or mapping of such records.

    StudyError names the file when it is missing, and the field when one is missing or wrong.
    """
    return as_record(path, kind, read_json(path))


def as_record(path: Path, kind: type[Record], values: Any, way_out: str = "") -> Record:
    """Plain values that a file held as a record; StudyError says where the first mistake is, and
    the way out, which is to make the file again where no other is given."""
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        way_out = way_out or f"delete {path.parent} and run `make study`"
        raise StudyError(f"{path}: {place}: {first['msg']}: {way_out}") from None


def flush(path: Path) -> None:
    """Flush a file or a folder's entries to disk, so that a power cut does not undo it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
