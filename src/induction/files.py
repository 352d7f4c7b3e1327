"""Files that are either whole or not there: scratch folder, checks, rename."""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import psutil
from pydantic import TypeAdapter, ValidationError

from induction.errors import StudyError

MANIFEST = "manifest.json"
PATIENCE_VARIABLE = "INDUCTION_LOCK_SECONDS"
_UNFINISHED = "unfinished"

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
        _flush(scratch)
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


def seconds_from(variable: str) -> float | None:
    """Seconds that an environment variable holds, or None. StudyError when it is no number."""
    text = os.environ.get(variable)
    try:
        return float(text) if text else None
    except ValueError:
        raise StudyError(f"{variable}: {text!r}: expected a number of seconds") from None


@contextmanager
def workplace(target: Path, scratch_root: Path) -> Iterator[Path]:
    """Yield the scratch folder of an output, which no other process uses at the same time.

    It keeps what an earlier process left there. Raises StudyError when another one is at work, on
    whichever machine: at once, or after the seconds that INDUCTION_LOCK_SECONDS allows it to end.
    """
    home = scratch_root / _UNFINISHED / f"{target.parent.name}-{target.name}"
    home.mkdir(parents=True, exist_ok=True)
    with locked(home, seconds_from(PATIENCE_VARIABLE) or 0.0) as free:
        if not free:
            raise StudyError(
                f"{target}: another process is making it: wait for it to end, or stop it"
            )
        yield home


@contextmanager
def published_folder(
    target: Path, scratch_root: Path, about: Mapping[str, Any] | None = None
) -> Iterator[Path]:
    """Yield an empty scratch folder that becomes `target`, with a manifest, if the block ends well.

    When the block raises, `target` is untouched and the scratch folder is gone. A leftover
    `target` is replaced. `about` goes into the manifest beside the list of files.
    Raises StudyError when another process is making the same folder.
    """
    with workplace(target, scratch_root) as home:
        empty_folder(home)
        scratch = home / "output"
        scratch.mkdir()
        try:
            yield scratch
            seal(scratch, about or {})
            publish(scratch, target)
        finally:
            empty_folder(home)


def empty_folder(folder: Path) -> None:
    """Delete all that is in a folder."""
    for path in folder.iterdir():
        shutil.rmtree(path)


def delete_unfinished(scratch_root: Path) -> None:
    """Delete what processes left in their workplaces, but for those that are at work."""
    for home in (scratch_root / _UNFINISHED).glob("*/"):
        with locked(home) as free:
            if free:
                empty_folder(home)


@contextmanager
def locked(folder: Path, patience: float = 0.0) -> Iterator[bool]:
    """Lock a folder for this process, as long as the block lasts; False if another one has it.

    patience: seconds that the other one is waited for. The lock is on a file beside the folder,
    since network file systems tell other machines of locks on files open for writing alone.
    """
    path = folder.with_name(f"{folder.name}.lock")
    end = time.monotonic() + patience
    while (descriptor := _lock(path)) is None and time.monotonic() < end:
        time.sleep(0.5)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            path.unlink(missing_ok=True)
            os.close(descriptor)


def _lock(path: Path) -> int | None:
    """An open descriptor of a locked file, or None when another process has it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        except FileNotFoundError:
            pass
        os.close(descriptor)  # whoever had it has deleted the file meanwhile


def seal(folder: Path, about: Mapping[str, Any]) -> None:
    """Give a finished folder its manifest: name, size and SHA-256 of every file. Flushes all."""
    entries = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        path.chmod(0o644)
        _flush(path)
        name = path.relative_to(folder).as_posix()
        entries.append({"name": name, "bytes": path.stat().st_size, "sha256": sha256(path)})
    write_json(folder / MANIFEST, {**about, "files": entries})
    folder.chmod(0o755)
    _flush(folder)


def publish(folder: Path, target: Path) -> None:
    """Rename a sealed folder to `target`, whose leftover it replaces.

    So a folder under its final name is a whole one; the leftover is deleted under another name.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    replaced = folder.with_name("replaced")
    shutil.rmtree(replaced, ignore_errors=True)
    if target.exists():
        target.rename(replaced)
    folder.rename(target)
    _flush(target.parent)
    shutil.rmtree(replaced, ignore_errors=True)


def _flush(path: Path) -> None:
    """Flush a file or a folder's entries to disk, so that a power cut does not undo it."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def verify_folder(folder: Path) -> None:
    """Check a published folder against its manifest.

    Raises StudyError naming the first file that is missing, differs, or is not in the manifest.
    """
    listed = _read_manifest(folder)
    for name, (size, digest) in listed.items():
        path = folder / name
        if not path.is_file():
            raise StudyError(f"{path}: missing, though the manifest lists it: `make study` remakes")
        if path.stat().st_size != size or sha256(path) != digest:
            raise StudyError(
                f"{path}: differs from its manifest: delete {folder} and run `make study`"
            )
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if strange := sorted(there - listed.keys() - {MANIFEST}):
        raise StudyError(
            f"{folder / strange[0]}: not in the manifest of {folder}: delete it, or the folder "
            "and run `make study`"
        )


def _read_manifest(folder: Path) -> dict[str, tuple[int, str]]:
    """Size and SHA-256 of the files that a manifest lists, all of them inside the folder."""
    path = folder / MANIFEST
    manifest = read_json(path)
    try:
        listed = {entry["name"]: (entry["bytes"], entry["sha256"]) for entry in manifest["files"]}
        names = [PurePosixPath(name) for name in listed]
    except (TypeError, KeyError) as error:
        raise StudyError(
            f"{path}: not a manifest: {error}: delete {folder} and run `make study`"
        ) from None
    if any(name.is_absolute() or ".." in name.parts for name in names):
        raise StudyError(f"{path}: lists a file outside of its folder: delete {folder}")
    return listed
