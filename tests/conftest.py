"""What several test files share: one run of the whole graph with the smoke preset."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.checkout import copy_working_tree
from filelock import FileLock
from smoke_study import Study

# With `-n`, files go to the workers in this order, then all others: the longest first, so that no
# worker is left alone with one of them. test_smoke runs the study; those that have a copy of it
# come when it is there.
LONGEST = (
    *("test_smoke", "test_chaos", "test_gpu_check", "test_process_group", "test_runner"),
    *("test_resume", "test_external_smoke", "test_compare", "test_render", "test_external_models"),
)


def pytest_configure(config: pytest.Config) -> None:
    """Keep pytest-xdist from sorting files by how many tests they have."""
    config.option.loadscopereorder = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in the order of LONGEST, tests within them as they stand."""
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(LONGEST)))


@pytest.fixture(autouse=True)
def subnormal_numbers() -> Iterator[None]:
    """As Python has them: what sets models up has this process take them for 0."""
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Study:
    """A clone of the working tree in which the study has run once; of several workers, the first
    that asks runs it, and each has a copy."""
    if worker_id == "master":
        return _run(tmp_path_factory.mktemp("clone") / "study")
    shared = tmp_path_factory.getbasetemp().parent / "clone" / "study"
    shared.parent.mkdir(exist_ok=True)
    with FileLock(f"{shared}.lock"):
        output = shared.with_suffix(".output")
        if not output.is_file():
            output.write_text(_run(shared).first_output, encoding="utf-8")
    own = tmp_path_factory.mktemp("clone") / "study"
    shutil.copytree(shared, own, symlinks=True)
    study = Study(own)
    study.first_output = output.read_text(encoding="utf-8")
    return study


def _run(root: Path) -> Study:
    copy_working_tree(root)
    shutil.copyfile(root / "params" / "smoke.yaml", root / "params.yaml")
    study = Study(root)
    study.run("git", "init", "--quiet")
    study.commit("smoke")
    study.first_output = study.run(sys.executable, "-m", "induction.runner", "--jobs", "2")
    return study
