"""The whole graph in a throw-away clone with the smoke preset: what a newcomer's run does."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from induction.config import load_config

ROOT = Path(__file__).parents[1]


class Study:
    """A clone with its own DVC repository and cache."""

    def __init__(self, root: Path):
        self.root = root
        self.first_output = ""
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(root / "src"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "QUARTO": "",  # the renderer that every machine has
        }

    def run(self, *command: str) -> str:
        done = subprocess.run(
            command, cwd=self.root, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def manifest(self, model: str) -> dict:
        return json.loads((self.root / f"data/snapshots/{model}/manifest.json").read_text())


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
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
    study.run("git", "add", "--all")
    study.run(
        *("git", "-c", "user.name=Test", "-c", "user.email=test@example.org"),
        *("commit", "--quiet", "--message", "smoke"),
    )
    study.first_output = study.run(sys.executable, "-m", "induction.runner", "--jobs", "2")
    return study


def test_every_output_is_there(study):
    config = load_config(study.root / "params.yaml")
    metrics = json.loads((study.root / "data/results/metrics.json").read_text())["models"]
    assert set(metrics) == set(config.models)
    for name in (
        "curves.csv",
        "details.json",
        "pca.json",
        "pca.parquet",
        "pca_tokens.parquet",
        "windows.csv",
    ):
        assert (study.root / "data" / "results" / name).is_file()
    for model in config.models:
        assert (study.root / f"data/measurements/{model}/circuits.parquet").is_file()
        assert (study.root / f"data/ablations/{model}/sets.parquet").is_file()
        assert len(study.manifest(model)["files"]) == config.snapshots.count + 1
    verdicts = json.loads((study.root / "data/results/verdicts.json").read_text())
    assert [verdict["argument"] for verdict in verdicts] == [1, 2, 3, 5, 6]
    assert (study.root / "reports/_output/report.pdf").read_bytes().startswith(b"%PDF")
    assert "all done" in study.first_output


def test_the_page_is_whole_and_says_that_it_is_no_real_study(study):
    page = (study.root / "reports/_output/index.html").read_text()
    assert "Preliminary" in page
    assert "smoke" in page
    assert "Traceback" not in page
    for model in load_config(study.root / "params.yaml").models:
        assert f"<code>{model}</code>" in page


def test_a_second_run_has_nothing_to_do(study):
    assert "nothing to do" in study.run(sys.executable, "-m", "induction.runner")
    assert "up to date" in study.run("dvc", "status")


def test_dvc_shows_parameters_metrics_and_plots(study):
    assert "attn-2l.icl_score" in study.run("dvc", "metrics", "show")
    study.run("dvc", "plots", "show")
    page = (study.root / "dvc_plots" / "index.html").read_text()
    assert "{}" not in re.findall(r"var spec = (.*?);", page)
    for name in ("icl_score", "loss", "prefix_matching", "previous_token"):
        assert name in page
    shutil.rmtree(study.root / "dvc_plots")


def test_a_stage_is_a_plain_command_that_gives_the_same_bits(study):
    before = study.manifest("attn-1l")
    study.run(sys.executable, "-m", "induction.stages.train", "attn-1l")
    assert study.manifest("attn-1l") == before


def test_a_changed_model_retrains_alone(study):
    params = study.root / "params.yaml"
    text = params.read_text()
    line = next(line for line in text.splitlines() if line.startswith("  attn-2l-s1:"))
    params.write_text(text.replace(line, line.replace("seed: 1", "seed: 2")))
    status = json.loads(study.run("dvc", "status", "--json"))
    assert {stage for stage in status if stage.startswith("train")} == {"train@attn-2l-s1"}
    assert "seed" in study.run("dvc", "params", "diff")

    others = [m for m in load_config(params).models if m != "attn-2l-s1"]
    before = {model: study.manifest(model) for model in others}
    old = study.manifest("attn-2l-s1")
    output = study.run("dvc", "repro")
    assert "Running stage 'train@attn-2l-s1'" in output
    assert "Running stage 'measure@attn-2l-s1'" in output
    assert "Running stage 'ablate@attn-2l-s1'" in output
    assert "Running stage 'pca'" in output
    assert "Running stage 'summarize'" in output
    assert "Running stage 'report'" in output
    for model in others:
        assert f"Running stage 'train@{model}'" not in output
        assert f"Running stage 'measure@{model}'" not in output
        assert f"Running stage 'ablate@{model}'" not in output
    assert {model: study.manifest(model) for model in others} == before
    assert study.manifest("attn-2l-s1") != old
    assert "Running stage" not in study.run("dvc", "repro")
