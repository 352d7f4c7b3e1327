"""The runner on small throw-away studies of its own: real processes, real DVC."""

import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from induction.paths import StudyPaths
from induction.runner.estimate import Durations, Pace, duration_text, seconds_left

PARAMS = Path(__file__).parents[2] / "params.yaml"
RUNNER = [sys.executable, "-m", "induction.runner"]
DVC = [sys.executable, "-m", "dvc"]

# first, then side@a and side@b, then last: a diamond.
PIPELINE = """
stages:
  first:
    cmd: python step.py first
    deps: [step.py, note.txt]
    outs: [out/first]
  side:
    foreach: [a, b]
    do:
      cmd: python step.py side-${item}
      deps: [step.py, out/first]
      outs: ["out/side-${item}"]
  last:
    cmd: python step.py last
    deps: [step.py, out/side-a, out/side-b]
    outs: [out/last]
"""

HANGS = 300.0  # seconds after which a test is taken to hang

# Two independent stages: all that most questions need.
PAIR = """
stages:
  pair:
    foreach: [a, b]
    do:
      cmd: python step.py pair-${item}
      deps: [step.py]
      outs: ["out/pair-${item}"]
"""

# Notes when it ran. SECONDS_NAME makes it last; a file fail-NAME makes it fail.
STEP = """
import json, os, subprocess, sys, time
from pathlib import Path
from induction.progress import progress

name = sys.argv[1]
start = time.time()
seconds = float(os.environ.get("SECONDS_" + name.replace("-", "_"), 0))
if os.environ.get("GRANDCHILD"):
    subprocess.Popen([sys.executable, "-c", f"import time; time.sleep({seconds})"])
print("threads", os.environ.get("OMP_NUM_THREADS"), sys.executable)
with progress(10, "tokens") as report:
    for done in range(10):
        time.sleep(seconds / 10)
        report(done + 1, f"loss {10 - done}")
if Path(f"fail-{name}").exists():
    for line in range(30):
        print("\\x1b[31mline", line, "\\x1b[0m")
    sys.exit("no [luck] today")
Path("out").mkdir(exist_ok=True)
Path(f"out/{name}").write_text(name)
Path(f"{name}.times").write_text(json.dumps([start, time.time()]))
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("template")
    for command in (
        ["git", "init", "--quiet"],
        [*DVC, "init", "--quiet"],
        [*DVC, "config", "core.analytics", "false"],
        [*DVC, "config", "core.check_update", "false"],
        [*DVC, "config", "core.autostage", "true"],
    ):
        subprocess.run(command, cwd=root, env=os.environ | {"DVC_NO_ANALYTICS": "1"}, check=True)
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "step.py").write_text(STEP)
    (root / "note.txt").write_text("old")
    shutil.copy(PARAMS, root / "params.yaml")
    return root


@pytest.fixture
def study(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "study"))


def start(study: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*RUNNER, *arguments],
        cwd=study,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(study: Path, *arguments: str, **variables: str) -> tuple[int, str]:
    process = start(study, *arguments, **variables)
    output, _ = process.communicate(timeout=HANGS)
    assert "Traceback" not in output
    return process.returncode, output


def dvc_status(study: Path) -> dict[str, object]:
    command = [*DVC, "status", "--json"]
    return json.loads(subprocess.run(command, cwd=study, check=True, capture_output=True).stdout)


def times(study: Path, name: str) -> list[float]:
    return json.loads((study / f"{name}.times").read_text())


def wait_for(condition, seconds: float = HANGS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def at_work(process: psutil.Process) -> bool:
    """Whether it has not ended. What the reaper of orphans has not yet cleared away has."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def reports(study: Path, *stages: str) -> bool:
    """Whether these stages are at work."""
    return all((study / ".scratch/progress" / f"{stage}.json").exists() for stage in stages)


def test_runs_all_side_by_side_then_nothing(study: Path):
    status, output = run(study, "--jobs", "2", SECONDS_side_a="1", SECONDS_side_b="1")

    assert status == 0, output
    assert "\x1b" not in output
    assert output.startswith("4 stages to run, 2 at a time")
    assert "all done in" in output
    assert dvc_status(study) == {}
    first, last = times(study, "first"), times(study, "last")
    a, b = times(study, "side-a"), times(study, "side-b")
    assert max(a[0], b[0]) < min(a[1], b[1]), "independent stages overlap"
    assert first[1] <= min(a[0], b[0])
    assert max(a[1], b[1]) <= last[0]
    assert (
        f"threads 1 {Path(sys.executable).parent}/python"
        in (study / ".scratch/logs/last.log").read_text()
    )

    (study / "reports/_output").mkdir(parents=True)
    (study / "reports/_output/index.html").touch()
    status, output = run(study)
    assert status == 0
    assert (
        output == "nothing to do: everything is up to date; report at reports/_output/index.html\n"
    )

    # What is gone comes back from the cache; a change that changes no output goes no further.
    (study / "out/last").unlink()
    (study / "note.txt").write_text("new")
    status, output = run(study)
    assert status == 0
    assert output.count("unchanged") == 2
    assert output.count("from the cache") == 1
    assert times(study, "first") > first
    assert times(study, "last") == last
    assert dvc_status(study) == {}


def test_failure_stops_only_what_depends_on_it(study: Path):
    (study / "fail-side-a").touch()

    status, output = run(study, "--jobs", "2", SECONDS_side_b="1.5")

    assert status == 1
    assert "\x1b" not in output
    summary = output.partition("done    side@b")[2]
    for part in (output, summary):  # at once, and again when something else came after it
        assert "FAILED  side@a" in part
        assert "  | line 29\n" in part
        assert "no [luck] today" in part
        assert "log: .scratch/logs/side@a.log" in part
    assert "line 10 " not in output
    assert "failed after" in summary
    assert "not run, because of that: last" in summary
    assert (study / "out/side-b").exists()
    assert not (study / "out/last").exists()


def test_interrupt_leaves_no_process_and_the_next_run_goes_on(study: Path):
    (study / "dvc.yaml").write_text(PAIR)
    process = start(study, "--jobs", "2", SECONDS_pair_b="90", GRANDCHILD="yes")
    wait_for(lambda: reports(study, "pair@b") and "pair@a:" in _text(study / "dvc.lock"))
    family = psutil.Process(process.pid).children(recursive=True)
    assert len(family) >= 3, "dvc, step, its child"

    status, output = run(study)
    assert status == 1
    assert output.count("\n") == 1
    assert f"already runs here (process {process.pid})" in output

    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=HANGS)
    assert process.returncode == 130
    assert "stopping pair@b; a second Ctrl-C kills at once\n" in output
    assert output.endswith("stopped; run `make study` again to go on\n")
    assert not [one for one in family if at_work(one)]
    assert "KeyboardInterrupt" in (study / ".scratch/logs/pair@b.log").read_text(), "not killed"

    status, output = run(study)
    assert status == 0
    assert output.startswith("1 stage to run")
    assert dvc_status(study) == {}


def test_stubborn_stage_is_killed_by_a_second_signal(study: Path):
    (study / "dvc.yaml").write_text(PAIR)
    stubborn = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + STEP
    (study / "step.py").write_text(stubborn)
    process = start(study, "--jobs", "2", SECONDS_pair_a="90", SECONDS_pair_b="90")
    wait_for(lambda: reports(study, "pair@a", "pair@b"))
    family = psutil.Process(process.pid).children(recursive=True)

    process.send_signal(signal.SIGTERM)
    time.sleep(1.2)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=HANGS)

    assert process.returncode == 130
    assert not [one for one in family if at_work(one)]
    # A killed dvc leaves its locks; worse is one whose number has gone to another process.
    rwlock = study / ".dvc/tmp/rwlock"
    assert "pid" in rwlock.read_text()
    holder = {"pid": os.getpid(), "cmd": "dvc repro"}
    rwlock.write_text(json.dumps({"write": {str(study / "out/pair-a"): holder}}))
    assert run(study)[0] == 0
    rwlock.write_text('{"write": {"/half')
    assert run(study)[0] == 0


def test_refuses_while_dvc_is_at_work(study: Path):
    (study / "dvc.yaml").write_text(PAIR)
    environment = os.environ | {"SECONDS_pair_a": "60"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    serial = subprocess.Popen([*DVC, "repro", "-q"], cwd=study, env=environment)
    try:
        wait_for(lambda: "pid" in _text(study / ".dvc/tmp/rwlock"))
        status, output = run(study)
    finally:
        for process in [*psutil.Process(serial.pid).children(recursive=True), serial]:
            process.kill()
        serial.wait()
    assert status == 1
    assert output.count("\n") == 1
    assert f"(process {serial.pid}) is at work here" in output


def test_bad_parameter_starts_nothing(study: Path):
    params = study / "params.yaml"
    params.write_text(params.read_text().replace("threads: 1 ", "threads: none "))

    status, output = run(study)

    assert status == 1
    assert output.count("\n") == 1
    assert output.startswith("study: params.yaml: compute.threads: expected ")
    assert not (study / ".scratch/logs").exists()


def test_pairs_that_are_not_there_are_told_before_anything_is_trained(study: Path):
    params = study / "params.yaml"
    text = params.read_text()
    (line,) = (line for line in text.splitlines() if "translation_file:" in line)
    params.write_text(text.replace(line, "  translation_file: data/own/pairs.tsv"))

    status, output = run(study)

    assert status == 1
    assert output.count("\n") == 1
    assert "data/own/pairs.tsv: missing" in output
    assert not (study / ".scratch/logs").exists()


def test_broken_pipeline_is_one_line(study: Path):
    (study / "dvc.yaml").write_text("stages:\n  first:\n    comd: echo\n")
    status, output = run(study)
    assert status == 1
    assert output.count("\n") == 1
    assert "dvc.yaml" in output


def test_live_display_leaves_the_terminal_as_it_was(study: Path):
    (study / "dvc.yaml").write_text(PAIR)
    terminal, inside = pty.openpty()
    process = subprocess.Popen(
        RUNNER,
        cwd=study,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "100", "SECONDS_pair_b": "1.5"},
        stdout=inside,
        stderr=inside,
        stdin=inside,
    )
    os.close(inside)
    output = b""
    while True:
        try:
            output += os.read(terminal, 65536)
        except OSError:  # the other end is closed
            break
    os.close(terminal)
    assert process.wait() == 0
    text = output.decode()
    assert "0 of 2 stages done" in text
    assert "loss" in text
    assert "all done in" in text
    assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l"), "the cursor is visible again"


def test_durations_come_from_the_last_run_or_the_group(tmp_path: Path):
    paths = StudyPaths(tmp_path)
    timing = paths.timing("train@a")
    timing.parent.mkdir(parents=True)
    timing.write_text('{"stage": "train@a", "seconds": 10}')
    paths.timing("train@b").write_text('{"stage"')

    durations = Durations(paths, ["train@a", "train@b", "train@c", "report"])
    durations.learn("train@c", 20.0)

    assert durations.expected("train@a") == 10
    assert durations.expected("train@b") == 15
    assert durations.expected("report") is None


def test_pace_follows_the_loop_at_hand():
    def message(done: float, unit: str = "tokens", total: float = 100) -> dict[str, object]:
        return {"done": done, "total": total, "unit": unit, "remark": "a\nb"}

    pace = Pace()
    pace.update(None, now=0)
    assert pace.fraction is None
    pace.update(message(40), now=1)  # resumed: what was done before says nothing about the rate
    assert pace.seconds_left(now=1) is None
    pace.update(message(60), now=3)
    assert pace.seconds_left(now=3) == 4
    assert pace.seconds_left(now=4) == 3
    assert pace.remark == "a b"
    pace.update(message(1, "files", 2), now=5)
    assert pace.fraction == 0.5
    assert pace.seconds_left(now=5) is None


def test_seconds_left_heeds_order_and_jobs():
    needs = {
        "a": frozenset[str](),
        "b": frozenset({"a"}),
        "c": frozenset({"a"}),
        "d": frozenset({"b", "c"}),
    }
    seconds = {"b": 4.0, "c": 2.0, "d": 1.0}
    assert seconds_left(needs, {"a": 3.0}, ["b", "c", "d"], seconds, jobs=2) == 8
    assert seconds_left(needs, {"a": 3.0}, ["b", "c", "d"], seconds, jobs=1) == 10


def test_duration_text():
    assert [duration_text(s) for s in (0.4, 59.4, 59.6, 125, 4800)] == [
        "0 s",
        "59 s",
        "1 min 00 s",
        "2 min 05 s",
        "1 h 20 min",
    ]


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
