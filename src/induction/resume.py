"""Work that survives being killed: an output folder that is filled over several attempts.

The unfinished output and a state from which to go on lie in the scratch folder, outside of what DVC
tracks (it deletes a stage's outputs before it runs), under the fingerprint of everything that the
result depends on. When any of that changes, the old attempt is deleted, not continued.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from induction.errors import StudyError
from induction.files import publish, published_folder, read_json, sha256, verify_folder, write_json

SECONDS_VARIABLE = "INDUCTION_SAVE_SECONDS"
_SECONDS_BETWEEN_SAVES = 20.0
_LISTED = "output.json"


class Attempt:
    """One attempt at filling `output`, which may go on from the state of an earlier one."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "output"
        self._states = folder / "states"
        self._digests: dict[str, str] = {}
        self._seconds = float(os.environ.get(SECONDS_VARIABLE, _SECONDS_BETWEEN_SAVES))
        self._saved_at = time.monotonic()

    def restore(self, read: Callable[[Path], None]) -> bool:
        """Hand the latest whole state to `read`; False, and an empty output, where there is none.

        Output files that are younger than the state are deleted: the work will write them again.
        A state or an output file that was damaged is told, and the work begins anew.
        """
        for state in sorted(self._states.glob("[0-9]*"), reverse=True):
            try:
                verify_folder(state)
                listed = read_json(state / _LISTED)
                self._check_output(listed)
            except StudyError as error:
                print(f"cannot go on from where it was stopped: {error}")
                continue
            for path in self.output.iterdir():
                if path.name not in listed:
                    path.unlink()
            self._digests = listed
            read(state)
            return True
        shutil.rmtree(self._states, ignore_errors=True)
        shutil.rmtree(self.output, ignore_errors=True)
        self.output.mkdir(parents=True)
        return False

    def save_now_and_then(self, write: Callable[[Path], None]) -> None:
        """Save a state, written by `write` into an empty folder, if the last one is old enough."""
        if time.monotonic() - self._saved_at >= self._seconds:
            self.save(write)

    def save(self, write: Callable[[Path], None]) -> None:
        """Save a state that stands for all files in the output so far."""
        for path in sorted(self.output.iterdir()):
            if path.name not in self._digests:
                with path.open("rb") as file:
                    os.fsync(file.fileno())
                self._digests[path.name] = sha256(path)
        older = sorted(self._states.glob("[0-9]*"))
        number = int(older[-1].name) + 1 if older else 1
        with published_folder(self._states / f"{number:06d}", self._states) as folder:
            write(folder)
            write_json(folder / _LISTED, self._digests)
        for state in older:
            shutil.rmtree(state)
        self._saved_at = time.monotonic()

    def _check_output(self, listed: Mapping[str, str]) -> None:
        for name, digest in listed.items():
            path = self.output / name
            if not path.is_file() or sha256(path) != digest:
                raise StudyError(f"{path}: missing or damaged")


@contextmanager
def attempt(
    target: Path, scratch_root: Path, fingerprint: str, about: Mapping[str, Any]
) -> Iterator[Attempt]:
    """Yield an attempt whose output becomes `target`, with a manifest, if the block ends well.

    When it does not, the attempt stays, and the next one with the same fingerprint can go on from
    its state. Raises StudyError when another process is at work on the same target.
    """
    home = scratch_root / "unfinished" / f"{target.parent.name}-{target.name}"
    home.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(home, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyError(
                f"{target}: another process is making it: wait for it to end, or stop it"
            ) from None
        for old in home.iterdir():
            if old.name != fingerprint:
                shutil.rmtree(old)
        current = Attempt(home / fingerprint)
        current.output.mkdir(parents=True, exist_ok=True)
        yield current
        publish(current.output, target, about)
        shutil.rmtree(home / fingerprint)
    finally:
        os.close(descriptor)
