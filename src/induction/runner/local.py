"""Stages as processes of this machine: start one, look how far it is, stop it."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from induction.config import StudyConfig
from induction.paths import StudyPaths
from induction.progress import ENVIRONMENT_VARIABLE

# Not RAYON_NUM_THREADS: the tokenizer is trained before anything can run beside it.
_THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "POLARS_MAX_THREADS",
)
_SUPERVISOR = (sys.executable, "-m", "induction.runner.supervisor")
_DVC = (sys.executable, "-m", "induction.runner.dvc")
_GRACE_SECONDS = 5.0
_LAST_LINES = 15
_SKIPPED = {
    "didn't change, skipping": "unchanged",
    "is cached - skipping run": "from the cache",
}
_HELD_UP = ("is busy, it is being blocked by", "Unable to acquire lock")
_ESCAPE_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|.)")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


class Local:
    """The back end that runs stages on this machine."""

    def __init__(self, paths: StudyPaths, config: StudyConfig) -> None:
        self._paths = paths
        self._compute, self._config = config.compute, config
        models = config.external.values()
        self._devices = {config.compute.device, *(model.device for model in models)}

    def prepare(self, stages: Collection[str]) -> int:
        """As many stages as fill the cores that this process may use; if any is on a GPU, one."""
        if "cuda" in self._devices:
            return 1
        if hasattr(os, "sched_getaffinity"):
            cores = len(os.sched_getaffinity(0))
        else:
            cores = os.cpu_count() or 1
        return max(1, cores // (self._compute.threads * self._compute.processes))

    def places(self, stage: str) -> int:
        """More than one for a stage with more threads than the others."""
        return math.ceil(threads_of(self._config, stage) / self._compute.threads)

    def start(self, stage: str) -> "StageProcess":
        return StageProcess(stage, self._paths, threads_of(self._config, stage))


def threads_of(config: StudyConfig, stage: str) -> int:
    """How many threads a stage computes with: `measure-external@MODEL` may have its own number."""
    entry = config.external.get(stage.partition("@")[2])
    return entry.threads if entry and entry.threads else config.compute.threads


class StageProcess:
    """One `dvc repro --single-item STAGE`, in a session of its own so that Ctrl-C comes to us.

    Around it is a supervisor, which ends the session when this process is gone. `variables` go into
    its environment.
    """

    def __init__(
        self,
        stage: str,
        paths: StudyPaths,
        threads: int,
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.stage = stage
        self.log = paths.logs / f"{stage}.log"
        self.started = time.monotonic()
        self._channel = paths.scratch / "progress" / f"{stage}.json"
        self._interrupted: set[psutil.Process] = set()
        for path in (self.log, self._channel):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*_SUPERVISOR, *_DVC, "--wait-for-lock", "repro", "--single-item", stage],
                cwd=paths.root,
                env={**_environment(threads, self._channel), **(variables or {})},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def poll(self) -> int | None:
        """The exit status, or None while it runs."""
        return self._process.poll()

    def report(self) -> dict[str, Any] | None:
        """The latest message of the stage about its progress (see `induction.progress`)."""
        try:
            return json.loads(self._channel.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None

    def held_up(self) -> bool:
        """Whether it could not begin because another dvc command is at work on the same files."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return any(mark in text for mark in _HELD_UP)

    def skipped(self) -> str | None:
        """How DVC got by without running the finished stage's command, or None when it ran it."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return next((note for mark, note in _SKIPPED.items() if mark in text), None)

    def last_lines(self) -> list[str]:
        """The end of the log, without control characters and overwritten progress bars."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 65536))
            text = file.read().decode("utf-8", errors="replace")
        text = _ESCAPE_SEQUENCE.sub("", text)
        lines = (line.rstrip().split("\r")[-1] for line in text.split("\n"))
        return [_CONTROL.sub("", line) for line in lines if line.strip()][-_LAST_LINES:]

    def signal_command(self, number: signal.Signals) -> None:
        """Send a signal to what DVC runs, but not to DVC itself."""
        for process in self._commands():
            with suppress(psutil.Error):
                process.send_signal(number)

    def interrupt_command(self) -> None:
        """Interrupt what DVC runs, each process once however often this is called."""
        for process in set(self._commands()) - self._interrupted:
            self._interrupted.add(process)
            with suppress(psutil.Error):
                process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End the whole session, whatever is left of it."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _commands(self) -> list[psutil.Process]:
        if self.poll() is not None:
            return []
        try:
            kept = psutil.Process(self._process.pid).children()
            return [command for dvc in kept for command in dvc.children(recursive=True)]
        except psutil.Error:
            return []


def stop(processes: Iterable[StageProcess], impatient: Callable[[], bool]) -> None:
    """Interrupt running stages, and kill what has not ended after a grace, or at once on demand.

    DVC itself is not interrupted: it might be writing dvc.lock, which it does in place. It ends by
    itself when its command does, and gets more time for that than the command.
    """
    processes = list(processes)
    start = time.monotonic()
    while any(process.poll() is None for process in processes):
        seconds = time.monotonic() - start
        for process in processes:
            if impatient() or seconds > 3 * _GRACE_SECONDS:
                process.kill()
            elif seconds > _GRACE_SECONDS:
                process.signal_command(signal.SIGKILL)
            else:
                process.interrupt_command()
        time.sleep(0.1)
    for process in processes:
        process.kill()  # what a command has left behind


def _environment(threads: int, channel: Path) -> dict[str, str]:
    """The environment of a stage: `python` is the one that runs here, threads are limited."""
    python_folder = str(Path(sys.executable).parent)
    return {
        **os.environ,
        **dict.fromkeys(_THREAD_VARIABLES, str(threads)),
        "PATH": os.pathsep.join([python_folder, os.environ.get("PATH", os.defpath)]),
        "PYTHONUNBUFFERED": "1",  # a stage that dies leaves its last words in the log
        "DVC_NO_ANALYTICS": "1",
        ENVIRONMENT_VARIABLE: str(channel),
    }
