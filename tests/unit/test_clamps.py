"""Heads that are made to attend somewhere: what the clamps do, and that all others stay free."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from tiny_training import SPEC

from induction.model.clamps import induction_pattern, induction_targets, previous_token_pattern
from induction.model.hooks import Intervention, Record
from induction.model.transformer import Transformer, initialise
from induction.model.weights import load_snapshot, save_snapshot, snapshot_name

TOKENS = torch.tensor([[5, 6, 7, 5, 6, 9, 5, 8], [1, 1, 1, 2, 2, 3, 4, 1]])


def made(clamp: str) -> Transformer:
    model = Transformer(replace(SPEC, clamp=clamp))
    initialise(model, 0, 0.3)
    with torch.no_grad():  # what starts at zero would hide where a head attends
        for block in model.blocks:
            block.attn.W_O.copy_(torch.eye(SPEC.d_model))
        model.W_U.normal_(generator=torch.Generator().manual_seed(0))
    return model


def patterns(model: Transformer, intervene: Intervention | None = None) -> list[torch.Tensor]:
    record = Record(("pattern",))
    model.residual(TOKENS, record, intervene)
    return [record["pattern", layer] for layer in range(model.spec.n_layers)]


def test_a_target_stands_behind_an_earlier_copy():
    found = induction_targets(TOKENS)[0]
    pairs = {(int(q), int(k)) for q, k in found.nonzero()}
    assert pairs == {(3, 1), (4, 2), (6, 1), (6, 4)}
    # The token behind an earlier copy can be the query itself.
    assert induction_targets(TOKENS)[1, :3].nonzero().tolist() == [[1, 1], [2, 1], [2, 2]]


def test_clamped_patterns_are_whole_and_causal():
    for pattern in (previous_token_pattern(TOKENS), induction_pattern(TOKENS)):
        torch.testing.assert_close(pattern.sum(dim=-1), torch.ones(2, 8))
        assert not pattern.triu(diagonal=1).any()
    assert previous_token_pattern(TOKENS)[0].argmax(dim=-1).tolist() == [0, 0, 1, 2, 3, 4, 5, 6]
    assert induction_pattern(TOKENS)[0, 6].tolist() == [0, 0.5, 0, 0, 0.5, 0, 0, 0]
    assert induction_pattern(TOKENS)[0, 2].tolist() == [1] + 7 * [0]


@pytest.mark.parametrize(
    ("clamp", "layers"), [("previous-token", {0}), ("induction", {1}), ("both", {0, 1})]
)
def test_a_clamp_takes_the_first_head_of_its_layer_alone(clamp, layers):
    free, held = patterns(made("none")), patterns(made(clamp))
    wanted = [previous_token_pattern(TOKENS), induction_pattern(TOKENS)]
    for layer in layers:
        torch.testing.assert_close(held[layer][:, 0], wanted[layer])
    first = min(layers)  # later layers read another stream
    others = slice(1, None)
    torch.testing.assert_close(held[first][:, others], free[first][:, others])
    assert not torch.allclose(held[first][:, 0], free[first][:, 0])


def test_no_head_attends_where_it_is_forbidden():
    targets = induction_targets(TOKENS)[:, None]
    for pattern in patterns(made("forbidden")):
        assert pattern.masked_select(targets).eq(0).all()
        torch.testing.assert_close(pattern.sum(dim=-1), torch.ones(pattern.shape[:3]))


def test_clamps_hold_beside_other_interventions():
    blocked = torch.zeros(8, 8, dtype=torch.bool)
    blocked[3, 0] = True
    both = patterns(made("forbidden"), Intervention(blocked={0: blocked}))
    assert both[0][:, :, 3, 0].eq(0).all()
    assert both[0].masked_select(induction_targets(TOKENS)[:, None]).eq(0).all()
    knocked_out = patterns(made("induction"), Intervention(blocked={1: blocked | True}))
    assert knocked_out[1].eq(0).all()


def test_a_clamped_model_learns_and_its_clamped_head_does_too():
    model = made("both")
    loss = model(TOKENS[:, :-1]).logsumexp(dim=-1).mean()
    loss.backward()
    for block in model.blocks:
        assert block.attn.W_V.grad is not None
        assert block.attn.W_V.grad[:, 0].any()
        # The clamped head asks nothing, so its queries learn nothing.
        assert block.attn.W_Q.grad is not None
        assert block.attn.W_Q.grad[:, : SPEC.d_model // SPEC.n_heads].eq(0).all()


def test_a_snapshot_knows_its_clamp_and_others_are_written_as_ever(tmp_path):
    for clamp in ("none", "induction"):
        save_snapshot(made(clamp), tmp_path, 1, 10)
        path = tmp_path / snapshot_name(1)
        assert load_snapshot(path).spec.clamp == clamp
        with safe_open(path, framework="pt") as file:
            spec = json.loads(file.metadata()["induction"])["spec"]
        assert ("clamp" in spec) == (clamp != "none")
