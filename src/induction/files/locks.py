"""Locks that hold between processes and between machines that share a file system."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from induction.errors import StudyError


@contextmanager
def locked(folder: Path, patience: float) -> Iterator[bool]:
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


def seconds_from(variable: str) -> float | None:
    """Seconds that an environment variable holds, or None. StudyError when it is no number."""
    text = os.environ.get(variable)
    try:
        return float(text) if text else None
    except ValueError:
        raise StudyError(f"{variable}: {text!r}: expected a number of seconds") from None
