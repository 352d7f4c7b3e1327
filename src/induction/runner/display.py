"""What a run looks like: a live picture on a terminal, plain lines into a pipe or a file."""

import os
import time
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.constrain import Constrain
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from induction.runner.estimate import duration_text
from induction.runner.local import StageProcess
from induction.runner.schedule import Running, Schedule

_SECONDS_BETWEEN_PICTURES = 0.5
_SECONDS_BETWEEN_LINES = 30.0


def shown_path(path: Path) -> str:
    """The path as one would type it here."""
    return os.path.relpath(path)


def failure_lines(process: StageProcess) -> list[str]:
    """The end of a failed stage's log, and where the rest is."""
    lines = [f"  | {line}" for line in process.last_lines()]
    return [*lines, f"  log: {shown_path(process.log)}"]


class _Lines:
    """One line when something happens; shared by both displays."""

    def __init__(self, console: Console, stages: list[str]) -> None:
        self._console = console
        self._width = max(map(len, stages), default=0)
        self.last_failed: str | None = None  # the stage whose failure is the last thing shown

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, text: str, style: str = "") -> None:
        # The terminal wraps long lines, so that what is copied from it has no line breaks added.
        self._console.print(Text(text, style), soft_wrap=True)

    def stopping(self, stages: list[str]) -> None:
        self.say(f"stopping {', '.join(stages)}; a second Ctrl-C kills at once")

    def finished(self, stage: str, seconds: float, note: str | None) -> None:
        self.last_failed = None
        self.say(f"done    {stage:{self._width}}  {note or duration_text(seconds)}")

    def held_up(self, stage: str) -> None:
        self.say(f"wait    {stage:{self._width}}  another dvc command is at work on its files")

    def failed(self, stage: str, seconds: float, process: StageProcess) -> None:
        self.last_failed = stage
        self.say(f"FAILED  {stage:{self._width}}  {duration_text(seconds)}", "bold red")
        for line in failure_lines(process):
            self.say(line)


class PlainDisplay(_Lines):
    """No escape codes, and no more than a line per running stage every half a minute."""

    def __init__(self, console: Console, stages: list[str]) -> None:
        super().__init__(console, stages)
        self._last = time.monotonic()

    def started(self, stage: str) -> None:
        self.last_failed = None
        self.say(f"start   {stage}")

    def refresh(self, schedule: Schedule) -> None:
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_LINES:
            return
        self._last = now
        for stage, one in schedule.running.items():
            cells = [cell for cell in _cells(schedule, stage, one) if cell]
            self.say(f"        {stage:{self._width}}  {', '.join(cells)}")
        self.say(f"        {_overall(schedule)}")


class LiveDisplay(_Lines):
    """A picture that stays at the bottom, under the lines of what has ended."""

    def __init__(self, console: Console, stages: list[str]) -> None:
        super().__init__(console, stages)
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._last = 0.0

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def started(self, stage: str) -> None:
        self._last = 0.0

    def refresh(self, schedule: Schedule) -> None:
        now = time.monotonic()
        if now - self._last < _SECONDS_BETWEEN_PICTURES:
            return
        self._last = now
        self._live.update(self._picture(schedule), refresh=True)

    def _picture(self, schedule: Schedule) -> Constrain:
        bar_width = 24 if self._console.width >= 80 else 10
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(no_wrap=True, min_width=self._width)
        table.add_column(width=bar_width)
        table.add_column(no_wrap=True, justify="right", min_width=5)
        table.add_column(no_wrap=True, min_width=len("59 min 59 s left"))
        table.add_column(no_wrap=True, overflow="ellipsis")
        for stage, one in schedule.running.items():
            percent, left, remark = _cells(schedule, stage, one)
            bar = ProgressBar(1.0, one.pace.fraction or 0.0, width=bar_width)
            table.add_row(Text(stage), bar, percent, left, Text(remark, "dim"))
        picture = Table.grid()
        picture.add_row(Text(_overall(schedule), "bold"))
        picture.add_row(table)
        # The ^C that a terminal echoes must not break the last line, or clearing misses one.
        return Constrain(picture, self._console.width - len("^C") - 1)


def _cells(schedule: Schedule, stage: str, one: Running) -> tuple[str, str, str]:
    """Percentage, time left and remark of a running stage; empty where nothing is known."""
    fraction, left = one.pace.fraction, schedule.stage_left(stage)
    percent = "" if fraction is None else f"{int(100 * fraction)} %"
    if left is None:
        when = f"for {duration_text(one.elapsed())}"
    elif left < 0.5:
        when = "ending"
    else:
        when = f"{duration_text(left)} left"
    return percent, when, one.pace.remark


def _overall(schedule: Schedule) -> str:
    seconds, complete = schedule.left()
    if complete:
        left = f"about {duration_text(seconds)} left"
    elif seconds >= 1:
        left = f"more than {duration_text(seconds)} left"
    else:
        left = "time left not yet known"
    failed = f", {len(schedule.failed)} FAILED" if schedule.failed else ""
    return (
        f"{len(schedule.done)} of {len(schedule.needs)} stages done{failed}, "
        f"{duration_text(schedule.elapsed())} so far, {left}"
    )
