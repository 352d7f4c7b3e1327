"""Another lock file, Python or torch shows up wherever results are made, kept or gone on with."""

import shutil
from collections.abc import Callable

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


Drift = Callable[[StudyPaths, pytest.MonkeyPatch], object]


def told(name: str, value: str) -> Drift:
    """What this function of a library says is another."""
    return lambda _, patch: patch.setattr(name, lambda: value)


def another_lock(paths: StudyPaths, _: pytest.MonkeyPatch) -> None:
    paths.lock.write_text("torch==9.9\n")


def another_torch(_: StudyPaths, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(torch, "__version__", "9.9.9+cpu")


def another_processor(paths: StudyPaths, patch: pytest.MonkeyPatch) -> None:
    """Of another make, with the same instructions, told to use the same products."""
    patch.setenv("INDUCTION_PRODUCTS", environment(paths.lock)["products"])
    described = paths.root / "cpuinfo"
    described.write_text("vendor_id : Other\ncpu family : 6\nmodel : 143\n\nprocessor : 1\n")
    patch.setattr("induction.processor._CPUINFO", described)


def other_products(paths: StudyPaths, patch: pytest.MonkeyPatch) -> None:
    other = {"onednn": "pytorch", "pytorch": "onednn"}[environment(paths.lock)["products"]]
    patch.setenv("INDUCTION_PRODUCTS", other)


# What is another than before, and the key of the environment that tells it.
DRIFTS: dict[str, tuple[Drift, str]] = {
    "lock": (another_lock, "requirements_lock_sha256"),
    "no lock": (lambda paths, _: paths.lock.unlink(), "requirements_lock_sha256"),
    "Python": (told("platform.python_version", "9.9.9"), "python"),
    "torch": (another_torch, "torch"),
    "machine": (told("platform.machine", "riscv64"), "machine"),
    "processor": (another_processor, "processor"),
    "instructions": (told("torch.backends.cpu.get_cpu_capability", "AVX9000"), "cpu_capability"),
    "choice": (lambda _, patch: patch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2"), "cpu_capability"),
    "products": (other_products, "products"),
}


@pytest.fixture
def checkout(study: StudyPaths) -> StudyPaths:  # noqa: F811
    study.lock.write_text("torch==2.13.0\n")
    return study


@pytest.mark.parametrize("what", DRIFTS)
def test_the_environment_tells_it_and_unfinished_work_is_not_gone_on_with(
    what, checkout, monkeypatch
):
    drift, key = DRIFTS[what]
    before, work = environment(checkout.lock), fingerprint(checkout, "train", MODEL)
    assert fingerprint(checkout, "train", MODEL) == work
    drift(checkout, monkeypatch)
    after = environment(checkout.lock)
    assert {name for name in before if before[name] != after[name]} == {key}
    assert fingerprint(checkout, "train", MODEL) != work


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
        made_with = read_json(folder / results.MANIFEST)["environment"]
        assert made_with == environment(checkout.lock)
    assert made_with != before


def test_the_gpu_is_named_where_one_is_used_and_work_goes_on_with_another(checkout, monkeypatch):
    assert "gpu" not in environment(checkout.lock)
    before = fingerprint(checkout, "train", MODEL)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA H100")
    assert environment(checkout.lock)["gpu"] == "NVIDIA H100"
    assert fingerprint(checkout, "train", MODEL) == before
