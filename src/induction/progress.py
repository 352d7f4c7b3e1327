"""How far a stage is: to the runner's display, to the terminal, or to a log.

Under `make study` the environment variable INDUCTION_PROGRESS names a file that the runner reads;
alone, a stage draws a bar on a terminal, or prints a line now and then into a log.
"""

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from tqdm import tqdm

ENVIRONMENT_VARIABLE = "INDUCTION_PROGRESS"
_SECONDS_BETWEEN_REPORTS = 0.1
_SECONDS_BETWEEN_LOG_LINES = 20.0


class Report(Protocol):
    """Call with the amount done so far and a short remark (a loss, a file's name)."""

    def __call__(self, done: float, remark: str = "") -> None: ...


@contextmanager
def progress(total: float, unit: str) -> Iterator[Report]:
    """Report progress towards `total`, counted in `unit` (tokens, snapshots, files)."""
    channel = os.environ.get(ENVIRONMENT_VARIABLE)
    if channel:
        yield _file_report(Path(channel), total, unit)
        return
    live = sys.stderr.isatty()
    with tqdm(
        total=total,
        unit=f" {unit}",
        unit_scale=True,
        mininterval=_SECONDS_BETWEEN_REPORTS if live else _SECONDS_BETWEEN_LOG_LINES,
        leave=False,
        ascii=not live,
    ) as bar:

        def report(done: float, remark: str = "") -> None:
            bar.set_postfix_str(remark, refresh=False)
            bar.update(done - bar.n)

        yield report


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
