"""Total copying, on circuits built by hand."""

import numpy as np
import pytest
import torch
from built_models import (
    D_VOCAB,
    N_CTX,
    POSITION,
    PREDICTION,
    SHARP,
    TOKEN,
    _empty_model,
    _matching_head,
    _move,
    _previous_token_head,
    induction_model,
    one_layer_model,
    q_composition_model,
    random_model,
    smeared_model,
    v_composition_model,
)
from test_measure import SETTINGS, evaluate

from induction.measure import copying, prefix_matching, total_copying
from induction.model.transformer import Transformer

BEFORE = slice(N_CTX + D_VOCAB, N_CTX + 2 * D_VOCAB)
RELAY = slice(D_VOCAB, 2 * D_VOCAB)  # a place of the stream that the unembedding does not read
nan = np.nan


def scores(model: Transformer, matches_from: float = 0.5) -> dict[str, np.ndarray]:
    evaluation = evaluate()
    matching = prefix_matching.measure(model, evaluation)["prefix_matching"]
    return total_copying.measure(model, evaluation, matching, matches_from)


def relay_model() -> Transformer:
    """An induction head, 1.0, that writes where 2.0 reads, which attends to the current token and
    moves it on to the prediction."""
    model = _empty_model(n_layers=3)
    _previous_token_head(model.blocks[0].attn, writes=BEFORE)
    _matching_head(model.blocks[1].attn, query=TOKEN, key=BEFORE)
    model.blocks[1].attn.W_O.zero_()
    model.blocks[1].attn.W_O[:D_VOCAB, RELAY] = torch.eye(D_VOCAB)
    last = model.blocks[2].attn
    last.W_Q[POSITION, :N_CTX] = SHARP * torch.eye(N_CTX)
    last.W_K[POSITION, :N_CTX] = SHARP * torch.eye(N_CTX)
    _move(last, RELAY, PREDICTION)
    return model


def second_head(model: Transformer, output: float) -> Transformer:
    """Make 1.1 attend as 1.0 does, and write what it writes times a factor."""
    attention = model.blocks[1].attn
    size = attention.W_Q.shape[1] // 2
    for W in (attention.W_Q, attention.W_K, attention.W_V):
        W[:, size:] = W[:, :size]
    attention.W_O[size:] = output * attention.W_O[:size]
    return model


@pytest.mark.parametrize("build", [induction_model, smeared_model])
def test_a_head_that_predicts_what_it_found_copies_fully(build):
    model = build()
    found = scores(model)
    expected = np.full(found["total_copying"].shape, nan)
    expected[-1, 0] = 1.0
    for name in ("total_copying", "total_copying_low", "total_copying_high", "copying_taken_out"):
        np.testing.assert_allclose(found[name], expected, atol=1e-6)
    assert found["total_copying_nats"][-1, 0] > 1
    assert found["joint_copying"] == pytest.approx([1.0, found["total_copying_nats"][-1, 0]])


@pytest.mark.parametrize("build", [q_composition_model, v_composition_model, one_layer_model])
def test_where_no_head_matches_prefixes_none_is_asked(build):
    found = scores(build())
    assert np.isnan(found["total_copying"]).all()
    assert found["joint_copying"].tolist() == [0.0, 0.0]


def test_what_a_later_layer_makes_of_a_head_counts_as_its_copying():
    model = relay_model()
    direct = copying.measure(model, evaluate())["copying"][1, 0]
    assert direct == pytest.approx(2 / int(evaluate().probes.periods.min()) - 1, abs=1e-6)  # chance
    assert scores(model)["total_copying"][1, 0] == pytest.approx(1.0, abs=1e-6)


def test_a_head_that_matches_and_writes_nothing_is_at_chance_also_beside_one_that_copies():
    alone = induction_model()
    alone.blocks[1].attn.W_O.zero_()
    assert scores(alone)["total_copying"][1, 0] == 0.0
    beside = scores(second_head(induction_model(), output=0.0))["total_copying"]
    assert beside[1] == pytest.approx([1.0, 0.0], abs=1e-6)


def test_a_head_that_lowers_what_it_found_scores_below_chance_also_beside_one_that_copies():
    alone = induction_model()
    alone.blocks[1].attn.W_O.neg_()
    assert scores(alone)["total_copying"][1, 0] == pytest.approx(-1.0, abs=1e-6)
    beside = scores(second_head(induction_model(), output=-0.5))
    for name in ("total_copying", "copying_taken_out"):
        assert beside[name][1] == pytest.approx([1.0, -1.0], abs=1e-6)


def test_heads_that_stand_in_for_each_other_both_copy():
    # The final norm makes of two outputs what it makes of one, so that taking one out does nothing.
    model = second_head(induction_model(), output=1.0)
    model.blocks[1].attn.W_O.mul_(1e3)
    found = scores(model)
    assert found["total_copying"][1] == pytest.approx([1.0, 1.0], abs=1e-6)
    together = found["joint_copying"][1]
    assert found["total_copying_nats"][1] == pytest.approx([together, together], rel=1e-3)


def test_random_heads_raise_what_they_find_by_chance():
    found = [scores(random_model(seed), 0.0)["total_copying"] for seed in range(12)]
    assert np.mean(found) == pytest.approx(0.0, abs=0.05)
    assert np.std(found) > 0.01


def test_the_interval_is_that_of_a_mean_over_sequences():
    found = scores(random_model(), 0.0)
    few = evaluate(SETTINGS.model_copy(update={"probe_sequences": 2}))
    wide = total_copying.measure(random_model(), few, np.ones((2, 4)), 0.5)

    def width(scores: dict[str, np.ndarray]) -> float:
        return float((scores["total_copying_high"] - scores["total_copying_low"]).mean())

    assert (found["total_copying_low"] < found["total_copying"]).all()
    assert width(wide) > width(found) > 0
