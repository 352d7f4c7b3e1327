"""Heads that are scaled while a model runs, and what is measured of it."""

import numpy as np
import pytest
import torch
from built_models import D_VOCAB, induction_model, random_model
from made_external import random_external

from induction.ablate.sets import matched_sets
from induction.behave.conditions import INTACT, Condition
from induction.behave.evaluator import evaluate
from induction.behave.material import Material
from induction.behave.task import Prompt, make_task
from induction.config import load_config
from induction.evaluation.evaluation_set import make_evaluation
from induction.external.adapter import AdaptedModel
from induction.measure.losses import token_losses
from induction.model.hooks import Intervention, Record
from induction.model.interface import Measurable
from induction.paths import find_study
from induction.steer.generation import continuations, repeated_share
from induction.steer.measures import SCHEMA, asked_tasks, scalings, steer
from induction.steer.scaled import ScaledHeads

CONFIG = load_config(find_study().root / "params" / "smoke.yaml")
HEADS = [(1, 0), (1, 3)]
TOKENS = torch.from_numpy(np.random.default_rng(0).integers(1, 9, (3, 20)))


def models() -> dict[str, Measurable]:
    return {"ours": random_model(), "theirs": AdaptedModel(random_external("llama"))}


@pytest.mark.parametrize("name", models())
def test_a_scale_of_one_changes_no_bit(name):
    model = models()[name]
    with torch.no_grad():
        scaled = ScaledHeads(model, HEADS, 1.0).residual(TOKENS)
        assert torch.equal(scaled, model.residual(TOKENS))


@pytest.mark.parametrize("name", models())
def test_other_scales_multiply_the_outputs_of_the_chosen_heads_alone(name):
    model = models()[name]
    for factor in (0.0, 0.5, 2.0):
        factors = torch.tensor([factor, 1.0, 1.0, factor])
        by_hand = model.residual(TOKENS, None, Intervention(head_scale={1: factors}))
        assert torch.equal(ScaledHeads(model, HEADS, factor).residual(TOKENS), by_hand)
        assert not torch.allclose(by_hand, model.residual(TOKENS))


def test_scaling_joins_what_else_is_done_to_a_run():
    model = random_model()
    halved = Intervention(head_scale={0: torch.full((4,), 0.5), 1: torch.full((4,), 0.5)})
    record = Record(("z",))
    found = ScaledHeads(model, HEADS, 4.0).residual(TOKENS, record, halved)
    factors = {0: torch.full((4,), 0.5), 1: torch.tensor([2.0, 0.5, 0.5, 2.0])}
    assert torch.equal(found, model.residual(TOKENS, None, Intervention(head_scale=factors)))
    assert set(record.values) == {("z", 0), ("z", 1)}


def test_the_weights_of_scaled_heads_are_those_of_what_they_write():
    model = random_model()
    scaled = ScaledHeads(model, HEADS, 2.0)
    for layer in range(2):
        *same, W_O = scaled.head_matrices(layer)
        *own, before = model.head_matrices(layer)
        assert all(map(torch.equal, same, own))
        ratio = (W_O / before).mean(dim=(1, 2))
        assert ratio.round(decimals=4).tolist() == ([2, 1, 1, 2] if layer else [1, 1, 1, 1])
    assert scaled.norm(2) == model.norm(2)


def test_a_scale_of_zero_is_the_zero_ablation():
    model, random = induction_model(), np.random.default_rng(0)
    prompts = [Prompt([0]) for _ in range(4)]
    for prompt in prompts:
        prompt.write(random.permutation(np.arange(1, 20)))
        prompt.write([5])
        after = int(prompt.tokens[prompt.tokens.index(5) + 1])
        prompt.ask("v", after, [after, 21, 22], [prompt.tokens.index(5) + 1])
        prompt.write([after])
    task = make_task("b", {"v": "literal"}, prompts)
    gone = Condition("ablated", "induction", 0, frozenset({(1, 0)}))
    ablated = evaluate(model, task, [INTACT, gone]).answers
    for scale, condition in ((0.0, gone), (1.0, INTACT)):
        found = evaluate(ScaledHeads(model, [(1, 0)], scale), task, [INTACT]).answers[INTACT]
        np.testing.assert_allclose(found.loss, ablated[condition].loss, atol=1e-5)
        assert np.array_equal(found.correct, ablated[condition].correct)
    assert ablated[INTACT].correct.mean() == 1
    assert ablated[gone].correct.mean() < 1


@pytest.mark.parametrize(
    ("prompt", "continuation", "share"),
    [
        ([1, 2, 3], [4, 5, 6, 7, 8, 9, 10], 0.0),
        ([1, 2, 3, 4, 9], [1, 2, 3, 4, 5], 0.5),  # 1234 stood in the prompt, 2345 nowhere
        ([9], [1, 2, 1, 2, 1, 2, 1], 0.5),  # 1212, 2121, and both again
        ([9], [7] * 10, 6 / 7),  # a loop
        ([1, 2, 3, 4], [1, 2, 3, 5], 0.0),
        ([1, 2], [3, 4, 1, 2, 3, 4], 1 / 3),  # 1234 began in the prompt
        ([1, 2, 3, 4], [1, 2, 3, 4], 1.0),
    ],
)
def test_repetition_of_made_text(prompt, continuation, share):
    assert repeated_share(np.array(prompt), np.array(continuation)) == pytest.approx(share)


def test_continuations_are_sampled_from_what_the_model_says():
    model = random_model()
    prompts = TOKENS[:1].repeat(4000, 1)
    drawn = continuations(model, prompts, 1, seed=0)[:, 0]
    expected = (model.residual(prompts[:1])[0, -1] @ model.W_U).softmax(-1)
    found = torch.bincount(drawn, minlength=D_VOCAB) / len(drawn)
    assert (found - expected).abs().max() < 0.03
    assert expected.max() < 0.9


def test_the_same_seed_gives_the_same_text_and_another_seed_another():
    model = random_model()
    one, again, other = (continuations(model, TOKENS, 12, seed) for seed in (0, 0, 1))
    assert one.shape == (3, 12)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(one, continuations(ScaledHeads(model, HEADS, 1.0), TOKENS, 12, 0))


def test_without_induction_heads_nothing_is_scaled():
    settings, model = CONFIG.steering, random_model()
    assert scalings(model.spec, [], settings) == []
    assert steer(model, [], [], evaluation(), settings).schema == SCHEMA


def test_as_many_others_are_scaled_as_there_are_induction_heads():
    settings = CONFIG.steering.model_copy(update={"random_draws": 2})
    spec = random_model().spec
    wanted = scalings(spec, HEADS, settings)
    assert [each.scale for each in wanted if each.heads == "none"] == [1]
    assert [each.scale for each in wanted if each.heads == "induction"] == [0, 0.5, 1.5, 2]
    assert {each.chosen for each in wanted if each.heads == "induction"} == {frozenset(HEADS)}
    random = {each.chosen for each in wanted if each.heads == "random"}
    assert random == set(matched_sets(spec, HEADS, 2, settings.seed))
    assert not [chosen for chosen in random if chosen & set(HEADS)]


def evaluation():
    tokens = np.concatenate([[0], np.random.default_rng(1).integers(1, D_VOCAB, 400)])
    settings = CONFIG.evaluation.model_copy(
        update={"examples": 6, "probe_period": (4, 6), "early": (2, 3), "late": (20, 25)}
    )
    return make_evaluation(tokens.astype(np.uint16), np.arange(D_VOCAB), 0, 32, settings)


def test_every_measure_has_a_value_under_every_scaling():
    model, settings = random_model(), CONFIG.steering
    material = Material(
        encode=lambda text: [1 + ord(letter) % (D_VOCAB - 1) for letter in text],
        texts=[],
        start=0,
        drawable=np.arange(1, D_VOCAB),
        windows=evaluation().tokens.numpy(),
        embedding=lambda: pytest.fail("a second model in memory"),
        n_ctx=40,
    )
    tasks = asked_tasks(material, CONFIG.behaviours)
    wanted = scalings(model.spec, HEADS, settings)
    told: list[float] = []
    table = steer(model, wanted, tasks, evaluation(), settings, told.append)
    assert table.schema == SCHEMA
    assert not table["value"].is_nan().any()
    assert told[-1] == 1
    groups = table.group_by("heads", "draw", "scale", "measure", "variant").len()
    # Two variants of copying, three of few-shot, repetition and loss; and the real text.
    assert len(groups) == len(wanted) * (2 + 3 + 2) + 1
    own = table.filter(measure="loss", heads="none")["value"].to_numpy()
    losses = token_losses(model, evaluation())[: settings.windows].mean(axis=1)
    np.testing.assert_allclose(own, losses, rtol=1e-6)
