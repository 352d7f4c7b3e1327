"""Another lock file, Python or torch shows up wherever results are made, kept or gone on with."""

import platform
import shutil
from pathlib import Path

import pytest
import test_bad_results as results
import torch
from test_bad_results import study, template  # noqa: F401  (fixtures)

from induction.config import load_config
from induction.environment import environment
from induction.files import read_json
from induction.fingerprint import fingerprint
from induction.paths import StudyPaths
from induction.stages import measure, train

MODEL = results.MODEL
MANIFEST = results.MANIFEST


def another_lock(paths: StudyPaths, monkeypatch: pytest.MonkeyPatch) -> str:
    paths.lock.write_text("torch==9.9\n")
    return "requirements_lock_sha256"


def no_lock(paths: StudyPaths, monkeypatch: pytest.MonkeyPatch) -> str:
    paths.lock.unlink()
    return "requirements_lock_sha256"


def another_python(paths: StudyPaths, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(platform, "python_version", lambda: "9.9.9")
    return "python"


def another_torch(paths: StudyPaths, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(torch, "__version__", "9.9.9+cpu")
    return "torch"


def another_machine(paths: StudyPaths, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    return "machine"


def another_processor(paths: StudyPaths, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of another make, with the same instructions, told to use the same products."""
    monkeypatch.setenv("INDUCTION_PRODUCTS", environment(paths.lock)["products"])
    described = paths.root / "cpuinfo"
    described.write_text("vendor_id : Other\ncpu family : 6\nmodel : 143\n\nprocessor : 1\n")
    monkeypatch.setattr("induction.processor._CPUINFO", described)
    return "processor"


def other_instructions(paths: StudyPaths, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX9000")
    return "cpu_capability"


def other_choice(paths: StudyPaths, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    return "cpu_capability"


def other_products(paths: StudyPaths, monkeypatch: pytest.MonkeyPatch) -> str:
    other = {"onednn": "pytorch", "pytorch": "onednn"}[environment(paths.lock)["products"]]
    monkeypatch.setenv("INDUCTION_PRODUCTS", other)
    return "products"


DRIFTS = [
    *(another_lock, no_lock, another_python, another_torch, another_machine, another_processor),
    *(other_instructions, other_choice, other_products),
]


@pytest.fixture
def checkout(study: StudyPaths) -> StudyPaths:  # noqa: F811
    study.lock.write_text("torch==2.13.0\n")
    return study


def made_with(folder: Path) -> dict[str, str]:
    """The environment that a stage's manifest names."""
    return read_json(folder / MANIFEST)["environment"]


@pytest.mark.parametrize("drift", DRIFTS)
def test_the_environment_tells_it(drift, checkout, monkeypatch):
    before = environment(checkout.lock)
    key = drift(checkout, monkeypatch)
    after = environment(checkout.lock)
    assert {name for name in before if before[name] != after[name]} == {key}


@pytest.mark.parametrize("drift", DRIFTS)
def test_unfinished_work_of_another_environment_is_not_gone_on_with(drift, checkout, monkeypatch):
    before = fingerprint(checkout, "train", MODEL)
    assert fingerprint(checkout, "train", MODEL) == before
    drift(checkout, monkeypatch)
    assert fingerprint(checkout, "train", MODEL) != before


@pytest.mark.parametrize("stage", [train, measure])
def test_every_manifest_says_what_its_results_were_made_with(stage, checkout, monkeypatch, capsys):
    config = load_config(checkout.params)
    folder = checkout.snapshots(MODEL) if stage is train else checkout.measurements(MODEL)
    before = environment(checkout.lock)
    for drift in (None, another_lock, another_torch):
        if drift:
            drift(checkout, monkeypatch)
        shutil.rmtree(folder)
        stage.main(checkout, config, MODEL)
        assert made_with(folder) == environment(checkout.lock)
    assert made_with(folder) != before


def test_the_gpu_is_named_where_one_is_used_and_work_goes_on_with_another(checkout, monkeypatch):
    assert "gpu" not in environment(checkout.lock)
    before = fingerprint(checkout, "train", MODEL)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    assert environment(checkout.lock)["gpu"] == "NVIDIA H100"
    assert fingerprint(checkout, "train", MODEL) == before
