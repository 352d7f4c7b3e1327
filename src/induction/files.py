"""Files that are either whole or not there: scratch folder, checks, rename."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from induction.errors import StudyError

MANIFEST = "manifest.json"


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a scratch path beside `path`; what is written there takes its place if all ends well.

    Readers see the old file or the new one, never a part, and a file linked into DVC's cache is
    replaced, not written into.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield scratch
        with scratch.open("rb") as file:
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with whole_file(path) as scratch:
        scratch.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write sorted, indented JSON, whole or not at all. NaN is refused (ValueError)."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; StudyError names the file when it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(f"{path}: missing: `make study` makes it") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StudyError(f"{path}: damaged: {error}: delete it and run `make study`") from None


@contextmanager
def published_folder(
    target: Path, scratch_root: Path, about: Mapping[str, Any] | None = None
) -> Iterator[Path]:
    """Yield an empty scratch folder that becomes `target`, with a manifest, if the block ends well.

    When the block raises, `target` is untouched and the scratch folder is gone. A leftover
    `target` is replaced. `about` goes into the manifest beside the list of files.
    """
    scratch_root.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f"{target.name}-", dir=scratch_root))
    try:
        yield scratch
        publish(scratch, target, about or {})
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def publish(folder: Path, target: Path, about: Mapping[str, Any]) -> None:
    """Give a finished folder its manifest and rename it to `target`, whose leftover it replaces.

    Everything is flushed to disk first, so that a folder under its final name is a whole one.
    """
    _write_manifest(folder, about)
    folder.chmod(0o755)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        shutil.rmtree(target)
    folder.rename(target)
    _flush_folder(target.parent)


def _flush_folder(folder: Path) -> None:
    """Flush a folder's entries: a rename that is not flushed may be undone by a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_manifest(folder: Path, about: Mapping[str, Any]) -> None:
    """List name, size and SHA-256 of every file of a folder, flushed to disk."""
    entries = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        path.chmod(0o644)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        name = path.relative_to(folder).as_posix()
        entries.append({"name": name, "bytes": path.stat().st_size, "sha256": sha256(path)})
    write_json(folder / MANIFEST, {**about, "files": entries})
    _flush_folder(folder)


def verify_folder(folder: Path) -> None:
    """Check a published folder against its manifest.

    Raises StudyError naming the first file that is missing or differs.
    """
    for entry in read_json(folder / MANIFEST)["files"]:
        path = folder / entry["name"]
        if not path.is_file():
            raise StudyError(f"{path}: missing, though the manifest lists it: `make study` remakes")
        if path.stat().st_size != entry["bytes"] or sha256(path) != entry["sha256"]:
            raise StudyError(
                f"{path}: differs from its manifest: delete {folder} and run `make study`"
            )
