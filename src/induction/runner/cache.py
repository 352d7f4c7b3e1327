"""Objects of DVC's cache that are not what their name says.

DVC trusts a cached file that is write-protected, and hands it out again when a stage's output is
missing. A file of the workspace may share its disk blocks with the cache (hard links), so what
damages one damages the other. Such objects are deleted before stages run: DVC then makes them anew.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from induction.errors import StudyError
from induction.files import md5, read_json, write_json


def delete_damaged(cache: Path, note: Path) -> list[str]:
    """Delete the objects whose MD5 is not their name; returns those names.

    cache: the folder with 256 folders of objects. No dvc command may be writing to it. note: a JSON
    file of the objects that were found whole, which are not read again until their inode, size or
    time of change differs; without it, all are.
    """
    known = _known(note)
    objects = sorted(path for path in cache.glob("[0-9a-f][0-9a-f]/*") if path.is_file())
    states = {path: _state(path) for path in objects}
    unread = [path for path, state in states.items() if known.get(_name(path)) != state]
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # hashing leaves the interpreter free
        digests = pool.map(md5, unread)
        damaged = [
            path
            for path, digest in zip(unread, digests, strict=True)
            if _name(path).removesuffix(".dir") != digest
        ]
    for path in damaged:
        path.unlink()
        del states[path]
    with suppress(OSError):  # it saves time, and a full disk is told elsewhere
        write_json(note, {_name(path): state for path, state in states.items()})
    return [_name(path) for path in damaged]


def _known(note: Path) -> dict[str, str]:
    """The state of each object when it was found whole; nothing where there is no such note."""
    try:
        known = read_json(note)
    except (OSError, StudyError):
        return {}
    return known if isinstance(known, dict) else {}


def _state(path: Path) -> str:
    """What changes with a file's content, unless the disk itself fails."""
    status = path.stat()
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"


def _name(path: Path) -> str:
    return path.parent.name + path.name
