"""How far a stage is, as a file, as a bar and as lines of a log."""

import io
import json
import sys

import pytest

from induction import progress as module
from induction.progress import ENVIRONMENT_VARIABLE, progress


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """The time that the module sees, in seconds; its last entry is now."""
    times = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: times[-1])
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    return times


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_now_and_then_with_what_is_left(clock, capsys):
    with progress(1000, "tokens") as report:
        report(200)  # where an earlier attempt stopped
        clock.append(105.0)
        report(250)
        clock.append(130.0)
        report(500, "loss 2.50")
        clock.append(131.0)
        report(600, "loss 2.40")
    assert capsys.readouterr().err == "50 %, 500 of 1,000 tokens, about 50 s left, loss 2.50\n"


def test_work_that_has_not_moved_has_no_estimate(clock, capsys):
    with progress(10, "files") as report:
        clock.append(125.0)
        report(3)
    assert capsys.readouterr().err == "30 %, 3 of 10 files\n"


def test_a_terminal_gets_a_bar_that_takes_remarks_as_they_are(monkeypatch):
    monkeypatch.delenv(ENVIRONMENT_VARIABLE, raising=False)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with progress(1000, "tokens") as report:
        report(400, "[/bold] 40")
    assert "400 of 1,000 tokens" in terminal.getvalue()
    assert "[/bold] 40" in terminal.getvalue()


def test_the_runner_reads_a_file(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(tmp_path / "progress.json"))
    with progress(8, "snapshots") as report:
        report(8, "last")
    told = json.loads((tmp_path / "progress.json").read_text())
    assert told == {"done": 8, "total": 8, "unit": "snapshots", "remark": "last"}
    assert capsys.readouterr() == ("", "")
