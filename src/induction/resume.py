"""Work that survives being killed: an output folder that is filled over several runs.

The unfinished output and a checkpoint from which to go on lie in the scratch folder, outside of
what DVC tracks (it deletes a stage's outputs before it runs), under the fingerprint of everything
that the result depends on. When any of that changes, they are deleted, not continued.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from induction.errors import StudyError
from induction.files import (
    publish,
    read_json,
    seal,
    seconds_from,
    sha256,
    verify_folder,
    workplace,
    write_json,
)

SECONDS_VARIABLE = "INDUCTION_SAVE_SECONDS"
_SECONDS_BETWEEN_SAVES = 20.0
_TIMES_A_SAVE = 20.0  # where that is longer: the work stands still while a large one is written
_LISTED = "output.json"


class ResumableFolder:
    """A folder `output` that is being filled, perhaps from the checkpoint of an earlier run on."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "output"
        self._checkpoints = folder / "checkpoints"
        self._digests: dict[str, str] = {}
        self._seconds = _seconds_between_saves()
        self._saved_at = time.monotonic()

    @property
    def finished(self) -> bool:
        """Whether an earlier run came to its end, and only what follows it was cut off."""
        try:
            verify_folder(self.output)
        except StudyError:
            return False
        return True

    def restore(self, read: Callable[[Path], None]) -> bool:
        """Hand the latest whole checkpoint to `read`; False, and an empty output, if none is there.

        Output files that are younger than it are deleted: the work will write them again. A
        checkpoint or an output file that was damaged is told, and the work begins anew.
        """
        for checkpoint in sorted(self._checkpoints.glob("[0-9]*"), reverse=True):
            try:
                verify_folder(checkpoint)
                listed = read_json(checkpoint / _LISTED)
                self._check_output(listed)
            except StudyError as error:
                print(f"cannot go on from where it was stopped: {error}")
                continue
            for path in self.output.iterdir():
                if path.name not in listed:
                    path.unlink()
            self._digests = listed
            read(checkpoint)
            return True
        shutil.rmtree(self._checkpoints, ignore_errors=True)
        shutil.rmtree(self.output, ignore_errors=True)
        self.output.mkdir(parents=True)
        return False

    def save_now_and_then(self, write: Callable[[Path], None]) -> None:
        """Save a checkpoint, by `write` into an empty folder, if the last one is old enough."""
        if time.monotonic() - self._saved_at >= self._seconds:
            self.save(write)

    def save(self, write: Callable[[Path], None]) -> None:
        """Save a checkpoint that stands for all files in the output so far."""
        begin = time.monotonic()
        for path in sorted(self.output.iterdir()):
            if path.name not in self._digests:
                with path.open("rb") as file:
                    os.fsync(file.fileno())
                self._digests[path.name] = sha256(path)
        older = sorted(self._checkpoints.glob("[0-9]*"))
        number = int(older[-1].name) + 1 if older else 1
        folder = self._checkpoints / "new"
        shutil.rmtree(folder, ignore_errors=True)  # half of one, if the last run died here
        folder.mkdir(parents=True)
        write(folder)
        write_json(folder / _LISTED, self._digests)
        seal(folder, {})
        publish(folder, self._checkpoints / f"{number:06d}")
        for checkpoint in older:
            shutil.rmtree(checkpoint)
        self._saved_at = time.monotonic()
        self._seconds = _seconds_between_saves(self._saved_at - begin)

    def _check_output(self, listed: Mapping[str, str]) -> None:
        for name, digest in listed.items():
            path = self.output / name
            if not path.is_file() or sha256(path) != digest:
                raise StudyError(f"{path}: missing or damaged")


@contextmanager
def resumable_folder(
    target: Path, scratch_root: Path, fingerprint: str, about: Mapping[str, Any]
) -> Iterator[ResumableFolder]:
    """Yield a folder whose output becomes `target`, with a manifest, if the block ends well.

    When it does not, it stays, and the next run with the same fingerprint can go on from its
    checkpoint. Raises StudyError when another process is at work on the same target.
    """
    with workplace(target, scratch_root) as home:
        for old in home.iterdir():
            if old.name != fingerprint:
                shutil.rmtree(old)
        current = ResumableFolder(home / fingerprint)
        current.output.mkdir(parents=True, exist_ok=True)
        yield current
        if not current.finished:
            seal(current.output, about)
        publish(_linked(current.output), target)
        # DVC deletes a stage's outputs and runs it again when it dies before it has recorded them.
        # So the work stays until `make study` has come to its end.
        if "DVC_STAGE" not in os.environ:
            shutil.rmtree(home / fingerprint)


def _linked(folder: Path) -> Path:
    """A copy beside a folder, of hard links where there are such."""
    copy = folder.with_name("published")
    shutil.rmtree(copy, ignore_errors=True)
    try:
        shutil.copytree(folder, copy, copy_function=os.link)
    except shutil.Error:
        shutil.copytree(folder, copy, dirs_exist_ok=True)
    return copy


def _seconds_between_saves(last: float = 0.0) -> float:
    """How long to wait before the next save; `last` is how many seconds the one before took."""
    told = seconds_from(SECONDS_VARIABLE)
    return max(_SECONDS_BETWEEN_SAVES, _TIMES_A_SAVE * last) if told is None else told
