"""Behaviours and control of a model of others, through the stages, with weights of a folder."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from made_external import CONFIGS, make_tokens, random_external, save_external, texts
from refusals import ROOT
from ruamel.yaml import YAML

from induction.behave.conditions import INTACT, Condition, induction_places
from induction.behave.evaluator import evaluate
from induction.behave.task import Prompt, make_task
from induction.config import load_config
from induction.external import opened
from induction.external.adapter import AdaptedModel
from induction.files import MANIFEST
from induction.model.hooks import Intervention
from induction.paths import StudyPaths
from induction.rules.head_kinds import HeadKinds
from induction.stages import (
    behave,
    behave_external,
    measure_external,
    revisions,
    steer,
    steer_external,
)
from induction.study.behaviours import describe_behaviours, load_behaviours
from induction.study.beyond.steering import COPYING, INDUCTION, RANDOM, load_steered

NAME = "theirs"


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> StudyPaths:
    """A study whose external model has two revisions with random weights, measured."""
    root: Path = tmp_path_factory.mktemp("external")
    paths = StudyPaths(root)
    (root / "src").symlink_to(ROOT / "src")
    shutil.copyfile(ROOT / "dvc.yaml", paths.pipeline)
    shutil.copyfile(ROOT / "requirements.lock", paths.lock)
    (root / "data" / "own").mkdir(parents=True)
    (root / "data" / "raw").mkdir()
    tokenizer = make_tokens(paths.tokens, texts(), paths.scratch)
    for number in range(2):
        save_external(random_external("gpt_neox", number), root / "them" / f"r{number}", tokenizer)
    values = YAML(typ="safe", pure=True).load(ROOT / "params" / "smoke.yaml")
    values["model"]["n_ctx"], values["train"]["batch_tokens"] = 64, 512
    values["external"] = {
        NAME: {
            "source": "them",
            "revisions": {"r0": 1, "r1": 2},
            **{"batch_tokens": 512, "n_layers": 3, "device": "cpu", "dtype": "float32"},
        }
    }
    YAML().dump(values, paths.params)
    config = load_config(paths.params)
    revisions.main(paths, config, NAME)
    measure_external.main(paths, config, NAME)
    return paths


def test_a_model_of_others_is_put_to_the_tasks(paths, monkeypatch):
    config = load_config(paths.params)
    kinds = HeadKinds(induction=((1, 0),), previous_token=())  # no random head is one
    monkeypatch.setattr(behave, "find_head_kinds", lambda *_: kinds)
    behave_external.main(paths, config, NAME)
    found = load_behaviours(paths, NAME)
    assert set(found.behaviours["step"]) == {1, 2}
    assert set(found.behaviours["condition"]) == {"intact", "ablated", "knocked out"}
    asked = found.tasks.filter(pl.col("why_not").is_null())
    assert {"literal copying", "[A][B][C] matching"} <= set(asked["behaviour"])
    assert not found.behaviours.select(pl.col("loss").is_nan().any()).item()
    for doing in describe_behaviours(found, [(0, 0)]):
        assert doing.accuracy_low <= doing.accuracy <= doing.accuracy_high
        assert doing.accuracy_low - 0.1 <= doing.chance <= doing.accuracy_high + 0.1
    before = (paths.behaviours(NAME) / MANIFEST).read_bytes()
    loaded, load = [], opened.load_model

    def note(*given):
        loaded.append(given[0].name)
        return load(*given)

    monkeypatch.setattr(opened, "load_model", note)
    monkeypatch.setenv("DVC_STAGE", "behave-external")  # so that a finished attempt is kept
    for _ in range(2):
        behave_external.main(paths, config, NAME)
        assert (paths.behaviours(NAME) / MANIFEST).read_bytes() == before
    assert loaded == ["r1", "r0", "r1"]  # for the embedding, then in order; the second time none


def test_heads_of_a_model_of_others_are_turned_down_and_up(paths, monkeypatch):
    config = load_config(paths.params)
    steer_external.main(paths, config, NAME)
    assert load_steered(paths, NAME).scales == []  # no random head is an induction head
    kinds = HeadKinds(induction=((1, 0),), previous_token=())
    monkeypatch.setattr(steer, "find_head_kinds", lambda *_: kinds)
    steer_external.main(paths, config, NAME)
    found = load_steered(paths, NAME)
    assert tuple(found.scales) == config.steering.scales
    assert len(found.samples("loss", 2.0)) == config.steering.windows
    assert not np.array_equal(found.samples("loss", 0.0), found.samples("loss", 0.0, RANDOM))
    monkeypatch.setattr(behave, "find_head_kinds", lambda *_: kinds)
    behave_external.main(paths, config, NAME)
    asked = pl.col("behaviour") == COPYING, pl.col("variant") == "random"
    done = load_behaviours(paths, NAME).examples.filter(*asked).sort("example")
    for condition, scale in (("intact", 1.0), ("ablated", 0.0)):
        heads = INDUCTION if scale == 0 else "none"
        own = done.filter(condition=condition, heads=heads)["accuracy"].to_numpy()
        np.testing.assert_allclose(found.samples(COPYING, scale), own)


@pytest.mark.parametrize("family", sorted(CONFIGS))
def test_conditions_from_the_intact_run_are_those_from_the_tokens(family):
    model = AdaptedModel(random_external(family))
    random = np.random.default_rng(0)
    prompts = [Prompt([0]) for _ in range(5)]
    for prompt in prompts:
        prompt.write(random.integers(1, 9, 30))
        prompt.ask("v", 3, [3, 4], [2, 5])
        prompt.write([3])
    task = make_task("b", {"v": "loose"}, prompts)
    places = induction_places(task, slice(0, 5))[:, None]
    gone = torch.tensor([True, False, False, True])
    for kind, changes in {
        "ablated": Intervention(head_scale={1: (~gone).float()}),
        "knocked out": Intervention(blocked={1: places & gone[:, None, None]}),
    }.items():
        condition = Condition(kind, "random", 0, frozenset({(1, 0), (1, 3)}))  # pyright: ignore[reportArgumentType]
        ours = evaluate(model, task, [INTACT, condition], batch_size=2).answers
        logits = (model.residual(task.tokens, None, changes) @ model.W_U)[task.example, task.query]
        theirs = torch.nn.functional.cross_entropy(
            logits, torch.from_numpy(task.target), reduction="none"
        )
        np.testing.assert_allclose(ours[condition].loss, theirs.numpy(), atol=1e-4, rtol=1e-4)
        assert np.abs(ours[condition].loss - ours[INTACT].loss).max() > 1e-3
