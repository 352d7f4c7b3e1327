"""External models in local folders: a folder for each revision."""

from pathlib import Path

from induction.errors import StudyError
from induction.files import sha256


def list_folder(folder: Path) -> dict[str, tuple[int, str | None]]:
    """Name → size and SHA-256 of a revision's files. StudyError when there is no such folder."""
    if not folder.is_dir():
        there = sorted(path.name for path in folder.parent.iterdir() if path.is_dir())
        raise StudyError(
            f"{folder}: no such revision: {folder.parent} holds {', '.join(there) or 'no folders'}"
        )
    files = (path for path in folder.iterdir() if path.is_file())
    return {path.name: (path.stat().st_size, sha256(path)) for path in sorted(files)}
