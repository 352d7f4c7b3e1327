"""The whole graph in a throw-away clone with the smoke preset: what a newcomer's run does."""

import json
import re
import shutil
import sys
from pathlib import Path

import page_checks
import pdf_checks
import polars as pl
import pytest
from smoke_study import Study

from induction.config import load_config


def test_every_output_is_there(study):
    config = load_config(study.root / "params.yaml")
    metrics = json.loads((study.root / "data/results/metrics.json").read_text())["models"]
    assert set(metrics) == set(config.models)
    for name in (
        "curves.csv",
        "details.json",
        "pca.json",
        "pca.parquet",
        "pca_basis.npz",
        "pca_tokens.parquet",
        "beyond.json",
        "windows.csv",
    ):
        assert (study.root / "data" / "results" / name).is_file()
    assert (study.root / "data/explorer/manifest.json").is_file()
    assert list((study.root / "reports/_output/figures").glob("*.csv"))
    for model in config.models:
        assert (study.root / f"data/measurements/{model}/circuits.parquet").is_file()
        assert (study.root / f"data/ablations/{model}/sets.parquet").is_file()
        asked = model in config.usual.models
        for table in (f"behaviours/{model}/behaviours", f"beyond/steering/{model}/scaled"):
            assert (study.root / f"data/{table}.parquet").is_file() == asked
        assert len(study.manifest(model)["files"]) == config.snapshots.count + 1
    verdicts = json.loads((study.root / "data/results/verdicts.json").read_text())
    assert [verdict["argument"] for verdict in verdicts] == [1, 2, 3, 4, 5, 6]
    assert "all done" in study.first_output


def test_what_was_compiled_on_the_way_makes_nothing_stale(study):
    compiled = study.root / "src" / "induction" / "model" / "__pycache__"
    assert list(compiled.glob("*.pyc"))
    # Where PyTorch's attention is the faster one, nothing is compiled by Numba.
    assert list(compiled.glob("*.nbi"))
    assert "up to date" in study.run(sys.executable, "-m", "dvc", "status")


def test_a_model_trains_at_its_own_rate_on_the_text_in_its_own_order(study):
    curves = {
        name: pl.read_csv(study.root / f"data/snapshots/{name}/train.csv")
        for name in ("attn-1l", "values-1l")
    }
    rates = [curve["learning_rate"][-1] for curve in curves.values()]
    config = load_config(study.root / "params.yaml")
    assert rates == [config.train.learning_rate, config.models["values-1l"].learning_rate]
    # Untrained models predict alike, so what differs from the first step on is the text.
    first = [curve["loss"][:3].to_list() for curve in curves.values()]
    assert first[0] != first[1]


def test_the_page_is_whole_and_says_that_it_is_no_real_study(study):
    page = (study.root / "reports/_output/index.html").read_text()
    assert "Other parameters" in page
    assert "smoke" in page
    assert "Traceback" not in page
    for model in load_config(study.root / "params.yaml").usual.models:
        assert f"<code>{model}</code>" in page
    page_checks.check_page(study.root / "reports/_output/index.html")


def test_the_pdf_is_whole(study):
    pdf_checks.check_pdf(study.root / "reports/_output/report.pdf")


def test_the_page_works_in_a_browser(study):
    page_checks.check_in_browser(study.root / "reports/_output/index.html")


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


@pytest.fixture(scope="module")
def pulled(study, tmp_path_factory) -> Study:
    """A clone made by git, with the outputs that the study has pushed to a folder."""
    storage, root = tmp_path_factory.mktemp("storage"), tmp_path_factory.mktemp("pulled")
    study.run("dvc", "remote", "add", "--default", "storage", str(storage))
    study.run("dvc", "remote", "modify", "storage", "verify", "true")
    study.run("dvc", "push")
    study.commit("results")
    study.run("git", "clone", "--quiet", str(study.root), str(root))
    clone = Study(root)
    assert not (root / "data" / "snapshots").exists()
    clone.run("dvc", "pull")
    return clone


def test_a_clone_that_pulls_has_nothing_to_train(study, pulled):
    assert "nothing to do" in pulled.run(sys.executable, "-m", "induction.runner")
    assert not (pulled.root / ".scratch" / "logs").exists()
    for model in load_config(study.root / "params.yaml").usual.models:
        assert pulled.manifest(model) == study.manifest(model)
    page = Path("reports/_output/index.html")
    assert (pulled.root / page).read_bytes() == (study.root / page).read_bytes()


def test_a_clone_that_pulls_renders_the_report(study, pulled):
    shutil.rmtree(pulled.root / "reports" / "_output")
    pulled.run(sys.executable, "-m", "induction.stages.report")
    page = (pulled.root / "reports/_output/index.html").read_text()
    for model in load_config(study.root / "params.yaml").usual.models:
        assert f"<code>{model}</code>" in page
    assert (pulled.root / "reports/_output/report.pdf").read_bytes().startswith(b"%PDF")


def test_a_changed_model_retrains_alone(study):
    params = study.root / "params.yaml"
    text = params.read_text()
    changed = re.sub(r"(?<=\n  attn-2l-s1:\n)((?:    .*\n)*?    seed: )1\n", r"\g<1>2\n", text)
    assert changed != text
    params.write_text(changed)
    status = json.loads(study.run("dvc", "status", "--json"))
    assert {stage for stage in status if stage.startswith("train")} == {"train@attn-2l-s1"}
    assert "seed" in study.run("dvc", "params", "diff")

    others = [m for m in load_config(params).models if m != "attn-2l-s1"]
    before = {model: study.manifest(model) for model in others}
    old = study.manifest("attn-2l-s1")
    joining = ("explore", "pca", "summarize")  # rendering again would only take time
    output = study.run("dvc", "repro", *joining)
    assert "Running stage 'train@attn-2l-s1'" in output
    assert "Running stage 'measure@attn-2l-s1'" in output
    assert "Running stage 'ablate@attn-2l-s1'" in output
    assert "Running stage 'behave@attn-2l-s1'" in output
    assert "Running stage 'steer@attn-2l-s1'" in output
    for stage in joining:
        assert f"Running stage '{stage}'" in output
    for model in others:
        assert f"Running stage 'train@{model}'" not in output
        assert f"Running stage 'measure@{model}'" not in output
        assert f"Running stage 'ablate@{model}'" not in output
        assert f"Running stage 'behave@{model}'" not in output
        assert f"Running stage 'steer@{model}'" not in output
    assert {model: study.manifest(model) for model in others} == before
    assert study.manifest("attn-2l-s1") != old
    assert "Running stage" not in study.run("dvc", "repro", *joining)
    assert set(json.loads(study.run("dvc", "status", "--json"))) == {"report"}
