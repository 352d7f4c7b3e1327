"""Stages on a Ray cluster of two nodes, both on this machine's loopback."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pytest
import test_runner
from ruamel.yaml import YAML
from smoke_study import Study

pytest.importorskip("ray", reason="a cluster needs ray: make test-extras")
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
from ray.cluster_utils import Cluster  # pyright: ignore[reportMissingImports]

ADDRESSES = (f"127.0.0.{number}" for number in range(2, 250))
TELL_OF_TIME = ("data/timings/", "reports/_output/index.html", "reports/_output/report.pdf")
RUNNER = [sys.executable, "-m", "induction.runner", "--executor", "ray"]

# Says where it is, and goes on from what it has noted.
STEP = """
import os, sys, time
from pathlib import Path
name = sys.argv[1]
note = Path(f"{name}.note")
begin = int(note.read_text()) if note.exists() else 0
print("begins at", begin, os.environ["OMP_NUM_THREADS"], os.environ.get("SECRET"), flush=True)
Path(f"{name}.pid").write_text(str(os.getpid()))
for done in range(begin, 10):
    if Path(f"{name}.fail").exists():
        sys.exit("no luck today")
    time.sleep(float(Path("seconds").read_text()))
    note.write_text(str(done + 1))
Path("out").mkdir(exist_ok=True)
Path(f"out/{name}").write_text(name)
"""


class Nodes:
    """A cluster of nodes with a CPU each, of which only the first has the driver."""

    def __init__(self, folder: Path):
        self._common: dict[str, Any] = {
            "num_cpus": 1,
            "object_store_memory": 80 * 2**20,
            "temp_dir": str(folder),
        }
        self._cluster = Cluster()
        self.head = self.add("head", include_dashboard=False)
        self.address = str(self._cluster.address)

    def add(self, name: str, **settings: Any) -> Any:
        """A node, on a loopback address of its own as if it were another machine."""
        return self._cluster.add_node(
            node_name=name, node_ip_address=next(ADDRESSES), **self._common, **settings
        )

    def kill(self, node: Any) -> None:
        """End all that runs on a node at once, as when its power fails."""
        raylets = [info.process.pid for info in node.all_processes["raylet"]]
        there = [child for pid in raylets for child in psutil.Process(pid).children(recursive=True)]
        for process in there:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._cluster.remove_node(node, allow_graceful=False)

    def shut_down(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    folder = Path("/tmp") / f"r{os.getpid()}"  # names of sockets have room for 107 characters
    cluster = Nodes(folder)
    yield cluster
    cluster.shut_down()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def second(nodes: Nodes) -> Iterator[list[Any]]:
    """The second node, in a list that a test empties when it kills the node."""
    there = [nodes.add("second")]
    yield there
    for node in there:
        nodes.kill(node)


@pytest.fixture
def pair(tmp_path: Path) -> Path:
    root = tmp_path / "pair"
    root.mkdir()
    for command in (
        ["git", "init", "--quiet"],
        [*test_runner.DVC, "init", "--quiet"],
        [*test_runner.DVC, "config", "core.analytics", "false"],
        [*test_runner.DVC, "config", "core.check_update", "false"],
    ):
        subprocess.run(command, cwd=root, env=os.environ | {"DVC_NO_ANALYTICS": "1"}, check=True)
    (root / "dvc.yaml").write_text(test_runner.PAIR)
    (root / "step.py").write_text(STEP)
    (root / "seconds").write_text("0.01")
    shutil.copy(test_runner.PARAMS, root / "params.yaml")
    return root


def start(root: Path, nodes: Nodes, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*RUNNER, "--address", nodes.address, *arguments],
        cwd=root,
        env=os.environ | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run(root: Path, nodes: Nodes, *arguments: str, **variables: str) -> tuple[int, str]:
    process = start(root, nodes, *arguments, **variables)
    output, _ = process.communicate(timeout=180)
    assert "Traceback" not in output
    return process.returncode, output


def log(root: Path, stage: str) -> str:
    path = root / ".scratch/logs" / f"{stage}.log"
    return path.read_text() if path.exists() else ""


def at_work(root: Path, name: str) -> psutil.Process | None:
    """The process of a step, once it has noted something."""
    if not (root / f"{name}.note").exists():
        return None
    return psutil.Process(int((root / f"{name}.pid").read_text()))


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    test_runner.wait_for(condition, seconds)


def set_resources(root: Path, **asked: float) -> None:
    yaml = YAML()
    values = yaml.load(root / "params.yaml")
    values["resources"]["default"].update(asked)
    yaml.dump(values, root / "params.yaml")


def test_stages_run_on_both_nodes_and_dvc_records_them_here(
    pair: Path, nodes: Nodes, second: list[Any]
):
    (pair / "seconds").write_text("0.3")
    status, output = run(pair, nodes, OMP_NUM_THREADS="7", SECRET="key")
    assert status == 0, output
    assert "2 stages to run, 2 at a time" in output
    logs = [log(pair, "pair@a"), log(pair, "pair@b")]
    assert "begins at 0 1 None" in logs[0]  # compute.threads, and nothing that is not a stage's
    where = {name for name in ("head", "second") if f"on node {name}" in "".join(logs)}
    assert where == {"head", "second"}
    assert test_runner.dvc_status(pair) == {}
    assert run(pair, nodes)[1] == "nothing to do: everything is up to date\n"


def test_a_failure_has_the_last_words_of_the_stage(pair: Path, nodes: Nodes):
    (pair / "pair-a.fail").touch()
    status, output = run(pair, nodes)
    assert status == 1
    assert "FAILED  pair@a" in output
    assert "| no luck today" in output
    assert "done    pair@b" in output


def test_what_a_dead_node_ran_goes_on_elsewhere(pair: Path, nodes: Nodes, second: list[Any]):
    (pair / "seconds").write_text("0.5")
    process = start(pair, nodes)
    stages = {"pair@a": "pair-a", "pair@b": "pair-b"}
    wait_for(lambda: all(at_work(pair, name) for name in stages.values()))
    lost = next(stage for stage in stages if "on node second" in log(pair, stage))
    step = at_work(pair, stages[lost])
    assert step
    nodes.kill(second.pop())
    wait_for(lambda: not test_runner.at_work(step), 10)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0, output
    text = log(pair, lost)
    assert "its node is gone" in text
    assert text.count("begins at") == 2
    assert "begins at 0" not in text.partition("is gone")[2]
    assert text.rstrip().find("on node head") > text.find("on node second")


def test_ctrl_c_interrupts_the_stages_on_their_nodes(pair: Path, nodes: Nodes):
    (pair / "seconds").write_text("2")
    process = start(pair, nodes)
    wait_for(lambda: at_work(pair, "pair-a"))
    step = at_work(pair, "pair-a")
    assert step
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopping pair@a" in output
    assert "KeyboardInterrupt" in log(pair, "pair@a")
    assert not test_runner.at_work(step)
    (pair / "seconds").write_text("0")
    assert run(pair, nodes)[0] == 0
    assert "begins at 0" not in log(pair, "pair@a")


def test_nothing_goes_on_when_the_runner_is_killed(pair: Path, nodes: Nodes):
    (pair / "seconds").write_text("2")
    process = start(pair, nodes)
    wait_for(lambda: at_work(pair, "pair-a"))
    step = at_work(pair, "pair-a")
    assert step
    process.kill()
    wait_for(lambda: not test_runner.at_work(step), 30)


def test_what_no_node_has_is_refused_before_anything_starts(pair: Path, nodes: Nodes):
    for asked, words in (
        ({"gpus": 1}, "pair asks for 1 CPU and 1 GPU"),
        ({"cpus": 2, "gpus": 0}, "pair asks for 2 CPUs"),
        ({"cpus": 1, "memory_gib": 1e6}, "1e+06 GiB of memory"),
    ):
        set_resources(pair, **asked)
        status, output = run(pair, nodes)
        assert status == 1
        assert output.startswith("study: params.yaml: resources: pair asks for")
        assert words in output
        assert output.count("\n") == 1
        assert not (pair / ".scratch/logs").exists()


def test_a_cluster_that_is_not_there_is_one_line(pair: Path, nodes: Nodes):
    done = subprocess.run(
        [*RUNNER, "--address", "127.0.0.1:9"], cwd=pair, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.startswith("study: address 127.0.0.1:9: no Ray cluster")
    assert done.stderr.count("\n") == 1


def results(root: Path) -> dict[str, str]:
    """SHA-256 of every output that does not tell how long something took."""
    digests = {}
    for folder in (root / "data", root / "reports/_output/figures"):
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(root).as_posix()
            if path.is_file() and not name.startswith(("data/timings/", "data/own/")):
                digests[name] = sha256(path.read_bytes()).hexdigest()
    return digests


def recorded(root: Path) -> dict[str, dict[str, str]]:
    """DVC's digests of what each stage made, but for durations, and for the report of them."""
    lock = YAML(typ="safe").load(root / "dvc.lock")
    return {
        stage: {
            out["path"]: out["md5"]
            for out in entry["outs"]
            if not out["path"].startswith(TELL_OF_TIME)
        }
        for stage, entry in lock["stages"].items()
    }


def test_the_smoke_study_loses_a_node_and_gives_the_same_bits(
    study: Study, nodes: Nodes, second: list[Any], tmp_path: Path
):
    local = study.root
    root = tmp_path / "cluster"
    shutil.copytree(local, root, ignore=shutil.ignore_patterns(".scratch", "cache", "tmp"))
    for name in recorded(local).values():
        for path in name:
            shutil.rmtree(root / path) if (root / path).is_dir() else (root / path).unlink()
    shutil.rmtree(root / "data" / "timings")
    (root / "dvc.lock").unlink()
    environment = {**study.environment, "PYTHONPATH": str(root / "src")}
    environment["INDUCTION_SAVE_SECONDS"] = "0"
    with (tmp_path / "log").open("w") as output:
        process = subprocess.Popen(
            [*RUNNER, "--address", nodes.address], cwd=root, env=environment, stdout=output
        )
        lost = []

        def trains_there() -> bool:
            for path in (root / ".scratch/logs").glob("train@*.log"):
                if "on node second" in path.read_text() and "going on" not in path.read_text():
                    channel = root / ".scratch/progress" / f"{path.stem}.json"
                    message = json.loads(channel.read_text()) if channel.exists() else {}
                    share = message.get("done", 0) / message.get("total", 1)
                    if message.get("unit") == "tokens" and 0.2 < share < 0.7:
                        lost[:] = [path.stem]
                        return True
            return False

        wait_for(trains_there, 300)
        nodes.kill(second.pop())
        second.append(nodes.add("third"))
        assert process.wait(timeout=1500) == 0, (tmp_path / "log").read_text()
    text = log(root, lost[0])
    assert "its node is gone" in text
    assert "going on after step" in text
    assert any("on node third" in path.read_text() for path in (root / ".scratch/logs").iterdir())
    assert results(root) == results(local)
    assert recorded(root) == recorded(local)
