"""What no measurement may depend on, and what it must follow: checked on random models.

Every registered measurement is checked, so that a new one is too.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from built_models import D_VOCAB, N_CTX, random_model
from hypothesis import given, settings
from hypothesis import strategies as st
from test_measure import SETTINGS, evaluate, text, uniform_prefix_score

from induction.ablate.evaluator import KINDS, Ablation, ablated_losses
from induction.evaluation.evaluation_set import EvaluationSet, make_evaluation
from induction.measure import (
    ARRAYS,
    CIRCUITS,
    HEADS,
    PAIRS,
    losses,
    prefix_matching,
    previous_token,
)
from induction.model.hooks import Intervention, Record
from induction.model.transformer import Transformer

N_LAYERS, N_HEADS, D_HEAD = 2, 4, 8
few = settings(max_examples=5, deadline=None, derandomize=True)
models = st.builds(
    random_model,
    seed=st.integers(0, 1000),
    attn_only=st.booleans(),
    smeared_keys=st.booleans(),
)
head_orders = st.tuples(*[st.permutations(range(N_HEADS))] * N_LAYERS)


def everything(model: Transformer, evaluation: EvaluationSet) -> dict[str, np.ndarray]:
    """All registered measurements but those of pairs; those of heads are [layers, heads, …]."""
    scores = {
        key: value
        for measure in (*HEADS, *ARRAYS)
        for key, value in measure(model, evaluation).items()
    }
    return scores | dict(CIRCUITS(model, scores["previous_token"]))


def pair_scores(model: Transformer) -> np.ndarray:
    """[k/q/v, head of layer 1, head of layer 0]."""
    scores = PAIRS(model).select("k", "q", "v").to_numpy().T
    return scores.reshape(3, N_HEADS, N_HEADS)


def assert_same(after: dict[str, np.ndarray], before: dict[str, np.ndarray]) -> None:
    assert after.keys() == before.keys()
    for name in before:
        np.testing.assert_allclose(after[name], before[name], atol=1e-4, err_msg=name)


def permute_heads(model: Transformer, orders: tuple[list[int], ...]) -> None:
    """Head h of a layer becomes what head orders[layer][h] was."""
    for block, order in zip(model.blocks, orders, strict=True):
        attention = block.attn
        for weight in (attention.W_Q, attention.W_K, attention.W_V):
            weight.copy_(weight.unflatten(1, (N_HEADS, D_HEAD))[:, order].flatten(1))
        weight = attention.W_O
        weight.copy_(weight.unflatten(0, (N_HEADS, D_HEAD))[order].flatten(0, 1))
        if attention.smear is not None:
            attention.smear.copy_(attention.smear[order])


@few
@given(models, head_orders)
def test_permuted_heads_have_permuted_scores_and_nothing_else_changes(model, orders):
    if model.blocks[0].attn.smear is not None:
        for block in model.blocks:
            block.attn.smear.copy_(torch.linspace(-2, 2, N_HEADS))
    evaluation = evaluate()
    before, pairs = everything(model, evaluation), pair_scores(model)
    permute_heads(model, orders)
    moved = {
        name: np.stack([row[order] for row, order in zip(scores, orders, strict=True)])
        if scores.shape[:2] == (N_LAYERS, N_HEADS)
        else scores
        for name, scores in before.items()
    }
    assert_same(everything(model, evaluation), moved)
    below, above = orders
    np.testing.assert_allclose(pair_scores(model), pairs[:, above][:, :, below], atol=1e-6)


@few
@given(models, head_orders, st.sampled_from(KINDS), st.integers(0, N_LAYERS - 1))
def test_ablated_heads_are_the_same_heads_wherever_they_stand(model, orders, kind, layer):
    evaluation = evaluate(SETTINGS.model_copy(update={"examples": 4}))

    def ablate(heads: list[int]) -> np.ndarray:
        ablation = Ablation(frozenset((layer, head) for head in heads), kind)
        return ablated_losses(model, evaluation, [ablation]).ablated[ablation]

    before = ablate([orders[layer][0], orders[layer][1]])
    permute_heads(model, orders)
    np.testing.assert_allclose(ablate([0, 1]), before, atol=1e-4)


@few
@given(models, st.permutations(range(1, D_VOCAB)))
def test_the_names_of_the_tokens_do_not_matter(model, others):
    new = np.array([0, *others])  # old token → new token; the start token stays
    counts = np.arange(D_VOCAB) + 1
    renamed_counts = np.empty_like(counts)
    renamed_counts[new] = counts
    renamed_text = new[text()].astype(np.uint16)
    evaluation = evaluate()
    renamed = make_evaluation(renamed_text, renamed_counts, 0, N_CTX, SETTINGS)
    assert torch.equal(renamed.tokens, torch.from_numpy(new)[evaluation.tokens])
    before, pairs = everything(model, evaluation), pair_scores(model)
    model.W_E[new] = model.W_E.clone()
    model.W_U[:, new] = model.W_U.clone()
    assert_same(everything(model, renamed), before)
    np.testing.assert_array_equal(pair_scores(model), pairs)


@few
@given(models, st.integers(0, N_CTX - 1 - 4 * 14), st.integers(0, 1000))
def test_what_pads_the_probes_does_not_matter(model, columns, seed):
    evaluation = evaluate()
    random = torch.Generator().manual_seed(seed)
    probes = evaluation.probes
    extra = probes.tokens.new_zeros(len(probes.tokens), columns)
    tokens = torch.cat([probes.tokens, extra], dim=1)
    ends = 1 + probes.repeats * torch.from_numpy(probes.periods)
    padding = torch.arange(tokens.shape[1]) >= ends[:, None]
    assert padding.any()
    noise = torch.randint(0, D_VOCAB, tokens.shape, generator=random)
    padded = replace(evaluation, probes=replace(probes, tokens=torch.where(padding, noise, tokens)))
    assert_same(everything(model, padded), everything(model, evaluation))


@few
@given(models, st.integers(1, 25))
def test_the_batch_size_does_not_matter(model, batch_size):
    evaluation = evaluate()
    for measure in (previous_token.measure, prefix_matching.measure):
        assert_same(measure(model, evaluation, batch_size), measure(model, evaluation))
    np.testing.assert_allclose(
        losses.token_losses(model, evaluation, batch_size),
        losses.token_losses(model, evaluation),
        atol=1e-5,
    )


@few
@given(models, st.integers(0, 1000))
def test_recording_and_changing_nothing_change_nothing(model, seed):
    random = torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, D_VOCAB, (3, 40), generator=random)
    logits, run = model(tokens), Record(("pattern", "z", "resid_pre"))
    torch.testing.assert_close(model(tokens, run), logits)
    layers, whole = range(N_LAYERS), torch.ones(N_HEADS)
    nothing = [
        Intervention(),
        Intervention(head_scale=dict.fromkeys(layers, whole)),
        Intervention(head_offset=dict.fromkeys(layers, torch.zeros(1))),
        Intervention(
            head_scale=dict.fromkeys(layers, 0 * whole),
            head_offset={layer: run["z", layer] for layer in layers},
        ),
        Intervention(patterns={layer: run["pattern", layer] for layer in layers}),
        *(Intervention(start=(layer, run["resid_pre", layer])) for layer in layers),
    ]
    for intervention in nothing:
        torch.testing.assert_close(model(tokens, intervene=intervention), logits)
        recorded = Record(("pattern", "z", "resid_pre"))
        torch.testing.assert_close(model(tokens, recorded, intervention), logits)
        for key, value in recorded.values.items():
            torch.testing.assert_close(value, run[key])


@few
@given(models)
def test_a_last_layer_head_ablated_is_its_output_subtracted(model):
    tokens = torch.randint(0, D_VOCAB, (2, 30), generator=torch.Generator().manual_seed(0))
    run, last = Record(("pattern", "z", "resid_pre")), N_LAYERS - 1
    model(tokens, run)
    block, head = model.blocks[last], 2
    own = slice(head * D_HEAD, (head + 1) * D_HEAD)
    resid = run["resid_pre", last]
    z = run["z", last].transpose(1, 2).flatten(2)
    resid = resid + z @ block.attn.W_O - z[..., own] @ block.attn.W_O[own]
    if block.mlp is not None and block.ln2 is not None:
        resid = resid + block.mlp(block.ln2(resid))
    gone = Intervention(
        head_scale={last: torch.tensor([1.0, 1.0, 0.0, 1.0])},
        patterns={layer: run["pattern", layer] for layer in range(N_LAYERS)},
    )
    expected = model.ln_final(resid) @ model.W_U
    torch.testing.assert_close(model(tokens, intervene=gone), expected, atol=1e-4, rtol=1e-4)


@few
@given(models)
def test_small_weights_give_chance_level(model):
    for block in model.blocks:
        block.attn.W_Q.mul_(1e-4)
    model.W_U.mul_(1e-4)
    evaluation = evaluate()
    scores = everything(model, evaluation)
    uniform = {
        "previous_token": np.mean([1 / (i + 1) for i in range(1, N_CTX)]),
        **{k: uniform_prefix_score(evaluation, o) for k, o in prefix_matching.OFFSETS.items()},
    }
    for name, expected in uniform.items():
        assert scores[name] == pytest.approx(np.full((2, 4), expected), abs=1e-3)
    for name in ("per_token", "per_index", "early", "late"):
        np.testing.assert_allclose(scores[name], np.log(D_VOCAB), atol=1e-2)
