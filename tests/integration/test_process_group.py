"""Several processes that train one model: the same losses, snapshots written once, and kills."""

import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import psutil
import pytest
import torch
import torch.distributed as dist
from ruamel.yaml import YAML
from safetensors.torch import load_file
from test_bad_results import make_tokens

from induction.config import load_config
from induction.errors import StudyError
from induction.files import read_json, verify_folder
from induction.fingerprint import fingerprint
from induction.paths import StudyPaths
from induction.progress import ENVIRONMENT_VARIABLE
from induction.resume import SECONDS_VARIABLE
from induction.train import process_group
from induction.train.process_group import ProcessGroup, joined_process_group

ROOT = Path(__file__).parents[2]
MODEL = "attn-2l"
STEPS = 60
# Products of half as many rows round differently; the difference grows over the steps.
CLOSE = 2e-4


def study(root: Path, **compute) -> StudyPaths:
    """A checkout with tokens, in which one small model is trained for STEPS steps."""
    root.mkdir()
    for name in ("dvc.yaml", "requirements.lock"):
        shutil.copyfile(ROOT / name, root / name)
    (root / "src").symlink_to(ROOT / "src")
    (root / "data").mkdir()
    paths = StudyPaths(root)
    write_params(paths, **compute)
    make_tokens(paths.tokens, load_config(paths.params))
    return paths


def write_params(paths: StudyPaths, **compute) -> None:
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(ROOT / "params" / "smoke.yaml")
    values["compute"] |= compute
    values["train"]["repeat_data"] = True
    values["models"], values["llc"]["models"] = {MODEL: values["models"][MODEL]}, []
    values["models"][MODEL]["tokens"] = STEPS * values["train"]["batch_tokens"]
    yaml.dump(values, paths.params)


def start(paths: StudyPaths, save_seconds: float = 100) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "induction.stages.train", MODEL],
        cwd=paths.root,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "OMP_NUM_THREADS": "1",
            SECONDS_VARIABLE: str(save_seconds),
            ENVIRONMENT_VARIABLE: str(paths.root / "progress.json"),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return output


def curve(paths: StudyPaths) -> np.ndarray:
    return pl.read_csv(paths.snapshots(MODEL) / "train.csv")["loss"].to_numpy()


def names(paths: StudyPaths) -> list[str]:
    return sorted(path.name for path in paths.snapshots(MODEL).iterdir())


def assert_alike(paths: StudyPaths, other: StudyPaths) -> None:
    """The same snapshots and, within float32's rounding, the same losses and weights."""
    verify_folder(paths.snapshots(MODEL))
    assert names(paths) == names(other)
    assert np.abs(curve(paths) - curve(other)).max() < CLOSE
    last = names(paths)[-2]
    assert last.startswith("step-")
    ours, theirs = (load_file(p.snapshots(MODEL) / last) for p in (paths, other))
    for name, weight in ours.items():
        assert torch.allclose(weight, theirs[name], atol=50 * CLOSE), name


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> StudyPaths:
    paths = study(tmp_path_factory.mktemp("alone") / "study")
    finish(start(paths))
    return paths


def test_two_processes_train_as_one_does(alone, tmp_path):
    paths = study(tmp_path / "study", processes=2)
    output = finish(start(paths))
    assert output.count("training tokens") == 1  # one of them speaks
    assert_alike(paths, alone)
    assert not np.array_equal(curve(paths), curve(alone))  # they did share the batch
    manifest = read_json(paths.snapshots(MODEL) / "manifest.json")
    assert manifest["config"]["compute"]["processes"] == 2


def members(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes of a group, the first one first."""
    children = psutil.Process(process.pid).children(recursive=True)
    processes = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    return sorted(processes, key=lambda child: child.create_time())


def killed(paths: StudyPaths, victim: int) -> str:
    """Kill a process of a group of two once there is a state to go on from; the one line."""
    states = paths.scratch / "unfinished" / f"snapshots-{MODEL}"
    before = sorted(states.glob("*/checkpoints/[0-9]*"))
    process = start(paths, save_seconds=0)
    deadline = time.monotonic() + 240
    while sorted(states.glob("*/checkpoints/[0-9]*"))[-1:] <= before:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    processes = members(process)
    assert len(processes) == 2
    processes[victim].send_signal(signal.SIGKILL)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 1
    assert not any(child.is_running() for child in processes)
    (line,) = errors.splitlines()
    assert not paths.snapshots(MODEL).exists()
    return line


def test_a_killed_process_ends_the_group_and_any_number_goes_on(alone, tmp_path):
    paths = study(tmp_path / "study", processes=2)
    for victim in (1, 0):
        assert killed(paths, victim) == (
            f"train@{MODEL}: process {victim + 1} of 2 was killed (SIGKILL): run it again, it "
            "goes on"
        )
    write_params(paths, processes=1)
    assert "going on after step" in finish(start(paths))
    assert_alike(paths, alone)


def test_a_loss_that_is_no_number_is_one_line_of_the_whole_group(tmp_path):
    paths = study(tmp_path / "study", processes=2)
    text = paths.params.read_text()
    paths.params.write_text(text.replace("learning_rate: 0.016", "learning_rate: 1.0e+9"))
    _, errors = (process := start(paths)).communicate(timeout=240)
    assert process.returncode == 1
    (line,) = errors.splitlines()
    assert line.startswith(f"train@{MODEL}: the loss became ")


def test_work_goes_on_with_another_number_of_processes_but_no_other_precision(tmp_path):
    paths = study(tmp_path / "study")
    key = fingerprint(paths, "train", MODEL)
    write_params(paths, processes=2)
    assert fingerprint(paths, "train", MODEL) == key
    write_params(paths, dtype="bfloat16")
    assert fingerprint(paths, "train", MODEL) != key


def test_the_first_process_may_take_hours_over_what_it_goes_on_from(monkeypatch):
    given = {}
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **how: given.update(how))
    monkeypatch.setattr(dist, "get_rank", lambda: 0)
    monkeypatch.setattr(dist, "get_world_size", lambda: 1)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    with joined_process_group(torch.device("cpu")):
        assert given["timeout"] >= timedelta(hours=12)


def test_an_average_loss_keeps_no_gradients_in_memory(monkeypatch):
    monkeypatch.setattr(dist, "all_reduce", lambda flat: None)
    weight = torch.nn.Parameter(torch.zeros(100))
    weight.grad = torch.full((100,), 4.0)
    loss = ProcessGroup(size=2).average([weight], torch.tensor(6.0))
    assert loss == 3
    assert (weight.grad == 2).all()
    assert loss.untyped_storage().nbytes() == 4


def test_too_little_memory_is_told_as_such_and_not_as_a_lost_process(monkeypatch):
    def all_reduce(flat: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    monkeypatch.setattr(dist, "all_reduce", all_reduce)
    with pytest.raises(torch.OutOfMemoryError):
        ProcessGroup(size=2).average([], torch.tensor(6.0))
    failure = SimpleNamespace(
        exitcode=1, timestamp=0, message="OutOfMemoryError: CUDA out of memory. Tried to"
    )
    assert process_group._explain({1: failure}, 2) == (
        "process 2 of 2: not enough memory: lower the sizes in params.yaml"
    )


def test_a_group_that_cannot_begin_says_so(monkeypatch):
    def init_process_group(backend: str, **_: object) -> None:
        raise RuntimeError("no interface found")

    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(dist, "init_process_group", init_process_group)
    with pytest.raises(StudyError, match=r"cannot join through gloo: .*no interface found"):
        joined_process_group(torch.device("cpu")).__enter__()
