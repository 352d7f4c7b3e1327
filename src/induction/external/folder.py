"""External models in local folders: a folder for each revision, or one that is the model."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from induction.errors import StudyError
from induction.external.configuration import read_values

INDEX = "model.safetensors.index.json"
Files = dict[str, tuple[int, str | None]]
"""Name → size in bytes and SHA-256, where that is known."""


def list_folder(folder: Path) -> Files:
    """Name and size of the files of a folder; none where there is no such folder."""
    files = (path for path in folder.glob("*") if path.is_file())
    return {path.name: (path.stat().st_size, None) for path in sorted(files)}


def revision_folder(source: Path, name: str) -> Path:
    """The folder of one revision: the one of that name, or a source that is itself a model.

    Of a source that holds models in folders too, `main` alone names the source. Raises StudyError
    when there is no such folder.
    """
    if (source / name).is_dir():
        return source / name
    models = [path.name for path in sorted(source.iterdir()) if (path / "config.json").is_file()]
    if (source / "config.json").is_file() and (name == "main" or not models):
        return source
    there = models or [path.name for path in sorted(source.iterdir()) if path.is_dir()]
    way_out = (
        f": `python -m induction.external.list {source}` lists them to paste" if models else ""
    )
    raise StudyError(
        f"{source / name}: no such revision: {source} holds "
        f"{', '.join(there) or 'no folders'}{way_out}"
    )


def broken_weights(folder: Path, names: list[str]) -> str | None:
    """Which file of weights is not whole, by its own header, or is listed and not there; None when
    all are."""
    if names[1:] and (index := folder / INDEX).is_file():
        listed = set(read_values(index).get("weight_map", {}).values())
        if missing := sorted(name for name in listed if not (folder / str(name)).is_file()):
            return f"{missing[0]}: listed in {INDEX} and not there"
    for name in names:
        try:
            with safe_open(folder / name, framework="np"):
                pass
        except SafetensorError as error:
            return f"{name}: not whole: {stand_in(folder / name) or error}"
    return None


def stand_in(path: Path) -> str | None:
    """What lies in the place of a file of weights, with the way out; None for what may be one."""
    with path.open("rb") as file:
        first = file.read(64).lstrip()
    if first.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS, not weights: run `git lfs pull`"
    return "is a web page, not weights: download the file itself" if first[:1] == b"<" else None
