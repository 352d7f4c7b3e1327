"""A checkout of the study in a throw-away folder, with commands run in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

from induction.paths import StudyPaths


class Study:
    """A clone with its own DVC repository and cache."""

    def __init__(self, root: Path):
        self.root = root
        self.paths = StudyPaths(root)
        self.first_output = ""
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(root / "src"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "QUARTO": "",  # the renderer that every machine has
            "PYTHONDONTWRITEBYTECODE": "",  # it compiles as on a reader's machine
        }

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return (done.stdout + done.stderr).strip()

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run(
            *("git", "-c", "user.name=Test", "-c", "user.email=test@example.org"),
            *("commit", "--quiet", "--message", message),
        )

    def manifest(self, model: str) -> dict:
        return json.loads((self.root / f"data/snapshots/{model}/manifest.json").read_text())
