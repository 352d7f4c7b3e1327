"""What several test files share: one run of the whole graph with the smoke preset."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from smoke_study import Study

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """A clone of the working tree in which the study has run once."""
    root = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, root / name)
    shutil.copyfile(root / "params" / "smoke.yaml", root / "params.yaml")
    study = Study(root)
    study.run("git", "init", "--quiet")
    study.commit("smoke")
    study.first_output = study.run(sys.executable, "-m", "induction.runner", "--jobs", "2")
    return study
