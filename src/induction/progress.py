"""How far a stage is: to the runner's display, to the terminal, or to a log.

Under `make study` the environment variable INDUCTION_PROGRESS names a file that the runner reads;
alone, a stage draws a bar on a terminal, or prints a line now and then into a log.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

ENVIRONMENT_VARIABLE = "INDUCTION_PROGRESS"
_SECONDS_BETWEEN_REPORTS = 0.1
_SECONDS_BETWEEN_LOG_LINES = 20.0


class Report(Protocol):
    """Call with the amount done so far and a short remark (a loss, a file's name)."""

    def __call__(self, done: float, remark: str = "") -> None: ...


Tell = Callable[[float], None]
"""Call with the share of one of the things counted that is done: of a large model, one snapshot
takes minutes."""


@contextmanager
def progress(total: float, unit: str) -> Iterator[Report]:
    """Report progress towards `total`, counted in `unit` (tokens, snapshots, files)."""
    if channel := os.environ.get(ENVIRONMENT_VARIABLE):
        yield _file_report(Path(channel), total, unit)
    elif sys.stderr.isatty():
        with _bar(total, unit) as report:
            yield report
    else:
        yield _log_report(total, unit)


@contextmanager
def _bar(total: float, unit: str) -> Iterator[Report]:
    columns = (
        BarColumn(),
        TaskProgressColumn(),
        TextColumn(f"{{task.completed:,.0f}} of {{task.total:,.0f}} {unit}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[remark]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total, remark="")
        yield lambda done, remark="": bar.update(task, completed=done, remark=remark)


def _log_report(total: float, unit: str) -> Report:
    """A line now and then, with how long the rest takes at the pace since the first call."""
    began: tuple[float, float] | None = None
    last = time.monotonic()

    def report(done: float, remark: str = "") -> None:
        nonlocal began, last
        now = time.monotonic()
        began = began or (now, done)
        if now - last < _SECONDS_BETWEEN_LOG_LINES:
            return
        last = now
        line = f"{100 * done / total:.0f} %, {done:,.0f} of {total:,.0f} {unit}"
        if done > began[1]:
            left = (now - began[0]) * (total - done) / (done - began[1])
            line += f", about {left:.0f} s left"
        print(f"{line}, {remark}" if remark else line, file=sys.stderr, flush=True)

    return report


def _file_report(path: Path, total: float, unit: str) -> Report:
    last = 0.0

    def report(done: float, remark: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last < _SECONDS_BETWEEN_REPORTS:
            return
        last = now
        message = {"done": done, "total": total, "unit": unit, "remark": remark}
        scratch = path.with_suffix(".new")
        scratch.write_text(json.dumps(message), encoding="utf-8")
        scratch.replace(path)

    return report
