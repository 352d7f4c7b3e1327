"""The stages of an external model in a throw-away checkout: same files, resumed, same bits."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from made_external import D_VOCAB, make_tokens, random_external, save_external, texts
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM

from induction.config import ExternalModel, load_config
from induction.errors import StudyError
from induction.external.evaluation import external_evaluation, load_own_tokenizer
from induction.files import read_json
from induction.files.tables import read_table
from induction.paths import StudyPaths
from induction.resume import SECONDS_VARIABLE
from induction.rules.curves import load_curves
from induction.stages import ablate_external, measure_external, revisions
from induction.stages.over_snapshots import Rows

ROOT = Path(__file__).parents[2]
NAME = "theirs"
STEPS = {"step0": 0, "step10": 10, "main": 143_000}


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> tuple[StudyPaths, object]:
    """A checkout with tokens, a grouped-query model of three revisions, and its configuration."""
    root = tmp_path_factory.mktemp("study")
    tokenizer = make_tokens(root / "data" / "tokens", texts(), root / ".scratch")
    for seed, name in enumerate(STEPS):
        save_external(random_external("qwen2", seed), root / "others" / name, tokenizer)
    entry = ExternalModel(
        source="others",
        revisions=STEPS,
        batch_tokens=2**21,
        n_layers=3,
        device="cpu",
        dtype="float32",
    )
    config = load_config(ROOT / "params" / "smoke.yaml")
    settings = config.evaluation.model_copy(update={"examples": 6, "pattern_examples": 4})
    ablation = config.ablation.model_copy(update={"examples": 4, "snapshots": 2})
    config = config.model_copy(
        update={"external": {NAME: entry}, "evaluation": settings, "ablation": ablation}
    )
    (root / "params.yaml").write_text(json.dumps(config.model_dump(mode="json")))
    shutil.copyfile(ROOT / "dvc.yaml", root / "dvc.yaml")
    shutil.copyfile(ROOT / "requirements.lock", root / "requirements.lock")
    (root / "src").symlink_to(ROOT / "src")
    paths = StudyPaths(root)
    for stage in (revisions, measure_external, ablate_external):
        stage.main(paths, config, NAME)
    return paths, config


def test_the_files_are_those_of_our_own_models(study):
    paths, _ = study
    curves = load_curves(paths, NAME)
    assert curves.step.tolist() == [0, 10, 143_000]
    assert curves.tokens[-1] == 143_000 * 2**21
    assert curves.heads.height == 3 * 3 * 4
    assert curves.heads["tokens"].max() == 143_000 * 2**21
    assert curves.per_character is not None
    assert (curves.per_character > 0).all()
    pairs = read_table(paths.measurements(NAME) / "circuits.parquet")
    assert pairs.height == 3 * 3 * 16
    ablated = read_table(paths.ablations(NAME) / "heads.parquet")
    ways = ablated.group_by("step", "kind").len().sort("step", "kind").rows()
    at_end = ("mean", "pattern_preserving", "resample", "zero")
    assert ways == [(0, "zero", 12), *((143_000, kind, 12) for kind in at_end)]
    assert ablated.select(pl.col("icl_attribution").is_finite().all()).item()
    assert (paths.ablations(NAME) / "sets.parquet").is_file()


def test_a_killed_measurement_goes_on_with_the_next_revision(study, monkeypatch):
    paths, config = study
    before = read_json(paths.measurements(NAME) / "manifest.json")
    shutil.rmtree(paths.measurements(NAME))
    monkeypatch.setenv(SECONDS_VARIABLE, "0")
    append, loaded = Rows.append, []

    def stop(rows, *found):
        append(rows, *found)
        loaded.append(rows.count)
        if rows.count == 2 and len(loaded) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(Rows, "append", stop)
    with pytest.raises(KeyboardInterrupt):
        measure_external.main(paths, config, NAME)
    measure_external.main(paths, config, NAME)
    assert loaded == [1, 2, 2, 3]  # the second was measured, but not saved any more
    assert read_json(paths.measurements(NAME) / "manifest.json") == before


def test_the_bits_are_the_same_again(study):
    paths, config = study
    for stage, folder in (
        (measure_external, paths.measurements(NAME)),
        (ablate_external, paths.ablations(NAME)),
    ):
        before = read_json(folder / "manifest.json")
        stage.main(paths, config, NAME)
        assert read_json(folder / "manifest.json") == before


def test_losses_are_those_of_the_model_on_the_text_of_the_windows(study):
    """The text's losses as `transformers` computes them, put on the study's tokens."""
    paths, config = study
    folder = paths.root / "others" / "step10"
    data = external_evaluation(
        paths.tokens,
        load_own_tokenizer(folder / "tokenizer.json"),
        0,
        128,
        config.model.n_ctx,
        config.evaluation,
    )
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    with np.load(paths.measurements(NAME) / "losses.npz") as arrays:
        found = arrays["per_index"][1]
    with torch.no_grad():
        logits = model(data.tokens[:, :-1]).logits
    targets = data.tokens[:, 1:]
    losses = cross_entropy(logits.mT, targets, reduction="none").numpy()
    np.testing.assert_allclose(found, data.at_tokens(losses).mean(axis=0), rtol=1e-4)
    with np.load(paths.measurements(NAME) / "losses.npz") as arrays:
        assert not np.allclose(arrays["per_index"][0], found, rtol=0.01)


@pytest.mark.parametrize("part", ["text", "probes"])
def test_a_token_that_the_model_does_not_have_is_named(part, study, monkeypatch):
    paths, config = study

    def beyond(*given):
        found = external_evaluation(*given)
        tokens = found.tokens if part == "text" else found.probes.tokens
        tokens[-1, -1] = D_VOCAB
        return found

    monkeypatch.setattr("induction.external.opened.external_evaluation", beyond)
    with pytest.raises(StudyError, match=rf"token {D_VOCAB} in a model of {D_VOCAB}"):
        measure_external.main(paths, config, NAME)


def test_a_wrong_depth_and_an_unknown_name_are_one_line(study):
    paths, config = study
    wrong = config.external[NAME].model_copy(update={"n_layers": 5})
    with pytest.raises(StudyError, match=r"external\.theirs\.n_layers: 5, but the model has 3"):
        revisions.main(paths, config.model_copy(update={"external": {NAME: wrong}}), NAME)
    with pytest.raises(StudyError, match=r"external\.thiers: unknown key: did you mean theirs"):
        measure_external.main(paths, config, "thiers")


def test_no_gpu_is_one_line(study):
    paths, config = study
    wrong = config.external[NAME].model_copy(update={"device": "cuda"})
    with pytest.raises(StudyError, match=r"external\.theirs\.device: cuda, but torch sees no GPU"):
        measure_external.main(paths, config.model_copy(update={"external": {NAME: wrong}}), NAME)
