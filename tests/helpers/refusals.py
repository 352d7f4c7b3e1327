"""What every bad input must lead to: one line, a bad exit status, and nothing left behind."""

import os
import re
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from induction.config import StudyConfig
from induction.errors import StudyError
from induction.paths import StudyPaths
from induction.stages import run_stage

import_module("torch._dynamo")  # makes a folder when it is first loaded

ROOT = Path(__file__).parents[2]
SECONDS = 60  # a stage that takes longer over bad input is taken to hang
MEGABYTES = 600  # that the process may grow by over one bad input

Stage = Callable[[StudyPaths, StudyConfig], None]

_PATHS = (str, bytes, os.PathLike)
_watch = threading.local()
_CHANGES = {
    *("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate"),
    *("os.chmod", "os.chown", "shutil.rmtree", "shutil.copyfile", "shutil.move"),
}
_PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "pty.spawn"}


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    seen = getattr(_watch, "seen", None)
    if seen is None:
        return
    if event == "open":
        path, _, flags = arguments
        if isinstance(path, str | bytes) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            seen.append((event, os.fsdecode(path)))
    elif event in _CHANGES:
        seen.extend((event, os.fsdecode(a)) for a in arguments[:2] if isinstance(a, _PATHS))
    elif event in _PROGRAMS or event == "pickle.find_class":
        seen.append((event, repr(arguments)))


sys.addaudithook(_hook)  # cannot be taken away again; it looks only while _watch.seen is set


@contextmanager
def watched() -> Iterator[list[tuple[str, str]]]:
    """What Python opens for writing, changes, starts or unpickles, as (event, path) pairs."""
    _watch.seen = seen = []
    try:
        yield seen
    finally:
        _watch.seen = None


def files_below(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file, so that two lists tell whether anything changed."""
    found = {}
    for here, _, names in os.walk(folder):
        for name in names:
            status = os.lstat(os.path.join(here, name))
            found[os.path.join(here, name)] = (status.st_size, status.st_mtime_ns)
    return found


def refusal(root: Path, stage: Stage, name: str = "stage") -> str:
    """Run a stage in a project as its command would; the line with which it refuses.

    Checks what holds for all bad input: exit status 1 with one printable line, no file written
    that stays, nothing outside of the project, no program started, no pickle read, no hang, and
    memory within bounds.
    """
    before, peak = files_below(root.parent), _peak()
    here = Path.cwd()
    os.chdir(root)
    previous = signal.signal(signal.SIGALRM, _hangs)
    signal.alarm(SECONDS)
    try:
        with watched() as seen, pytest.raises(SystemExit) as ended:
            run_stage(name, stage)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)
        os.chdir(here)
    line = ended.value.code
    assert isinstance(line, str), "sys.exit with a text prints it and gives status 1"
    check_line(line)
    for event, path in seen:
        assert event in _CHANGES or event == "open", f"{event}: {path}"
        place = Path(os.path.normpath(root / path))
        assert place.is_relative_to(root.resolve()) or place == Path(os.devnull), f"{event}: {path}"
    assert files_below(root.parent) == before
    assert _peak() - peak < MEGABYTES
    return line.removeprefix(f"{name}: ")


def message_of(work: Callable[[], object]) -> str | None:
    """The checked line of the StudyError that some work ends with; None where it ends well."""
    try:
        work()
    except StudyError as error:
        check_line(str(error))
        return str(error)
    return None


def check_line(line: str) -> None:
    """One line that a terminal shows as it is, not too long, and in words."""
    assert line.isprintable()
    assert 15 < len(line) < 1000
    assert "Traceback" not in line
    assert re.search(r"[a-z]{3}", line)


def _peak() -> float:
    """The most memory that this process has held so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _hangs(number: int, frame: Any) -> None:
    raise TimeoutError(f"still running after {SECONDS} s")
