"""`python -m induction.runner`: run what is stale, show the way, say what came out."""

import argparse
import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FrameType
from typing import Any

from rich.console import Console

from induction.config import StudyConfig, load_config
from induction.data.catalogues import file_pairs
from induction.errors import StudyError, ends_in_one_line
from induction.files import delete_unfinished, write_json
from induction.paths import StudyPaths, find_study
from induction.runner.disk import require_room
from induction.runner.display import (
    LiveDisplay,
    PlainDisplay,
    failure_lines,
    shown_path,
)
from induction.runner.estimate import Durations, duration_text
from induction.runner.executor import NAMES, Executor, make_executor
from induction.runner.graph import stages_to_run
from induction.runner.schedule import Schedule


def main() -> int:
    """Run the study around the working directory.

    The exit status is 0, or 1 when a stage failed or nothing could be started, or 130 when
    stopped by a signal.
    """
    parser = argparse.ArgumentParser(
        prog="python -m induction.runner", description="Run the stages of the study that are stale."
    )
    parser.add_argument(
        "--jobs", type=_count, metavar="N", help="stages at a time (default: as many as fit)"
    )
    parser.add_argument(
        "--executor", choices=NAMES, default=NAMES[0], help="run on this machine or on a cluster"
    )
    parser.add_argument("--address", help="of the Ray cluster: HOST:PORT (default: auto)")
    arguments = parser.parse_args()
    with ends_in_one_line("study"):
        try:
            paths = find_study()
            config = load_config(paths.params)
            if config.behaviours.translation_file:  # read once all models are trained
                file_pairs(paths.checkout / config.behaviours.translation_file)
            executor = make_executor(arguments.executor, arguments.address, paths, config)
            with _only_one(paths):
                return _study(paths, config, executor, arguments.jobs)
        except KeyboardInterrupt:
            return _stopped()


def _study(
    paths: StudyPaths, config: StudyConfig, executor: Executor, most_jobs: int | None
) -> int:
    start = time.monotonic()
    live = sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    console = Console(highlight=False) if live else Console(color_system=None, force_terminal=False)
    with console.status("looking for what has to run") if live else nullcontext():
        needs, damaged = stages_to_run(paths.root)
    if not needs:
        delete_unfinished(paths.scratch)
        print(f"nothing to do: everything is up to date{_reports(paths)}")
        return 0
    for name in damaged:
        print(f"deleted a damaged object of DVC's cache, to be made anew: {name}")
    count = f"{len(needs)} stage{'s' if len(needs) > 1 else ''}"
    jobs = executor.prepare(needs)
    jobs = most_jobs or jobs
    room = require_room(paths, config, needs, jobs)
    print(f"{count} to run, {jobs} at a time, {room}; logs in {shown_path(paths.logs)}", flush=True)

    schedule = Schedule(needs, jobs, Durations(paths, needs), executor.places)
    display = (LiveDisplay if live else PlainDisplay)(console, list(needs))
    with _counted_signals() as signals, display:
        schedule.run(executor.start, display, lambda: len(signals))
    if signals:
        return _stopped()
    whole = time.monotonic() - start
    seconds = duration_text(whole)
    for stage, process in schedule.failed.items():
        if stage != display.last_failed:
            display.say(f"FAILED  {stage}", "bold red")
            for line in failure_lines(process):
                display.say(line)
    if schedule.failed:
        print(f"failed after {seconds}: {', '.join(schedule.failed)}")
        if schedule.blocked:
            print(f"not run, because of that: {', '.join(schedule.blocked)}")
        return 1
    delete_unfinished(paths.scratch)
    write_json(paths.last_run, {"seconds": whole, "jobs": jobs, "stages": schedule.seconds})
    print(f"all done in {seconds}{_reports(paths)}")
    return 0


def _stopped() -> int:
    print("stopped; run `make study` again to go on", file=sys.stderr)
    return 130


def _reports(paths: StudyPaths) -> str:
    """Where the report is; nothing when the pipeline makes none."""
    files = [paths.report_output / name for name in ("index.html", "report.pdf")]
    there = [shown_path(file) for file in files if file.is_file()]
    return "; report at " + " and ".join(there) if there else ""


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, found {text!r}")
    return int(text)


@contextmanager
def _only_one(paths: StudyPaths) -> Iterator[None]:
    """Hold the lock of this checkout; it goes away with the process, however that ends.

    Raises StudyError when another run holds it.
    """
    paths.scratch.mkdir(exist_ok=True)
    with (paths.scratch / "study.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise StudyError(
                f"{paths.root}: `make study` already runs here (process {file.read().strip()}): "
                "wait for it to end, or stop it"
            ) from None
        file.truncate(0)
        print(os.getpid(), file=file, flush=True)
        yield


@contextmanager
def _counted_signals() -> Iterator[list[float]]:
    """Note when signals asked to stop, so that they never break in between two steps.

    Those within a second are one: a terminal or `timeout` may reach us directly and through make.
    """
    received: list[float] = []

    def receive(number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if not received or now - received[-1] > 1:
            received.append(now)

    before: dict[int, Any] = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue  # nohup: the run is to outlive its terminal
        before[number] = signal.signal(number, receive)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
