"""Folders that are either whole or not there: a scratch folder, a manifest, a rename."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from induction.errors import StudyError
from induction.files.locks import locked, seconds_from
from induction.files.whole import flush, read_json, sha256, write_json

MANIFEST = "manifest.json"
PATIENCE_VARIABLE = "INDUCTION_LOCK_SECONDS"
_UNFINISHED = "unfinished"


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
        with locked(home, 0.0) as free:
            if free:
                empty_folder(home)


def seal(folder: Path, about: Mapping[str, Any]) -> None:
    """Give a finished folder its manifest: name, size and SHA-256 of every file. Flushes all."""
    entries = []
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        path.chmod(0o644)
        flush(path)
        name = path.relative_to(folder).as_posix()
        entries.append({"name": name, "bytes": path.stat().st_size, "sha256": sha256(path)})
    write_json(folder / MANIFEST, {**about, "files": entries})
    folder.chmod(0o755)
    flush(folder)


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
    flush(target.parent)
    shutil.rmtree(replaced, ignore_errors=True)


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
