"""Copying, weight circuits and composition, on circuits built by hand and against full matrices."""

import math

import numpy as np
import pytest
import torch
from built_models import (
    D_MODEL,
    D_VOCAB,
    POSITION,
    PREDICTION,
    SHARP,
    induction_model,
    one_layer_model,
    q_composition_model,
    random_model,
    smeared_model,
    uneven_model,
    v_composition_model,
)
from test_measure import evaluate, uniform_prefix_score
from torch import Tensor

from induction.measure import (
    composition,
    copying,
    prefix_matching,
    previous_token,
    weight_circuits,
)
from induction.measure.circuits import eigenvalue_score
from induction.model.hooks import Intervention, Record
from induction.model.transformer import Transformer

nan = float("nan")
N_SAMPLE = int(evaluate().probes.periods.min())  # tokens of a copying sample
CHANCE = 2 / N_SAMPLE - 1


def repeated_tokens() -> Tensor:
    """A start token and 16 different tokens, four times over: [1, 65] without its last, [1, 64]."""
    start, *segment = torch.randperm(D_VOCAB, generator=torch.Generator().manual_seed(1))[:17]
    return torch.stack([start, *(segment * 4)])[None, :64]


def test_a_head_that_adds_what_it_reads_copies_and_all_others_are_at_chance():
    # 1.0 raises the logit of the token that it attends to above the sample's mean, and lowers all
    # others: a share of 1. The others move no logit of the sample, 0.0 because the unembedding does
    # not read what it writes: a share of 1 / n, rescaled to 2 / n − 1.
    scores = copying.measure(induction_model(), evaluate())
    for name in ("copying", "copying_raw"):
        np.testing.assert_allclose(scores[name], [[CHANCE, CHANCE], [1, CHANCE]], atol=1e-6)


def test_a_head_that_writes_an_earlier_token_does_not_copy():
    # 1.0 writes for each token the one before it: a share of 0. Only for the sample's first token
    # is that the start token, which raises no logit: a share of 1 / n. All but the last of the n
    # tokens get all attention of the token after them.
    score = copying.measure(v_composition_model(), evaluate())["copying"][1, 0]
    assert score == pytest.approx(2 * (1 / N_SAMPLE) / (N_SAMPLE - 1) - 1, abs=1e-6)


def test_the_final_norm_can_turn_copying_into_its_opposite():
    model = induction_model()
    model.ln_final.weight[PREDICTION] = -1.0
    scores = copying.measure(model, evaluate())
    assert scores["copying"][1, 0] == pytest.approx(-1.0, abs=1e-6)
    assert scores["copying_raw"][1, 0] == pytest.approx(1.0, abs=1e-6)


def test_a_common_part_of_all_logits_is_no_copying():
    model = induction_model()
    before = copying.measure(model, evaluate())
    model.W_U.add_(torch.randn(D_MODEL, 1, generator=torch.Generator().manual_seed(0)) * 100)
    after = copying.measure(model, evaluate())
    np.testing.assert_allclose(after["copying_raw"], before["copying_raw"], atol=1e-3)


def test_a_head_that_looks_at_the_start_token_alone_is_scored_on_what_it_would_copy():
    model = induction_model()
    attention = model.blocks[1].attn
    attention.W_Q.zero_()
    attention.W_K.zero_()
    attention.W_Q[POSITION, 0] = SHARP
    attention.W_K[0, 0] = SHARP  # position 0 answers all queries
    record = Record(("pattern",))
    model(repeated_tokens(), record)
    assert record["pattern", 1][:, 0, 1:, 1:].max() == 0
    assert copying.measure(model, evaluate())["copying"][1, 0] == pytest.approx(1.0, abs=1e-6)


def weight_scores(model: Transformer) -> dict[str, np.ndarray]:
    previous = previous_token.measure(model, evaluate())["previous_token"]
    return weight_circuits.measure(model, previous)


@pytest.mark.parametrize(
    ("build", "ov", "qk"),
    [
        # OV of 1.0: (I − 1/v) times a positive factor, of which all eigenvalues but one are equal
        # and positive. 0.0 writes where the unembedding does not read; idle heads write nothing.
        # QK of 1.0: the same matrix again, as keys read what 0.0 wrote of the same token.
        (induction_model, [[0, 0], [1, 0]], [[nan, nan], [1, 0]]),
        # Its keys do not read what 0.0 wrote.
        (q_composition_model, [[0, 0], [1, 0]], [[nan, nan], [0, 0]]),
        # Nor here, and its values do not read the embedding.
        (v_composition_model, [[0, 0], [0, 0]], [[nan, nan], [0, 0]]),
        (one_layer_model, [[1, 0]], [[nan, nan]]),
        (smeared_model, [[1, 0]], [[nan, nan]]),
    ],
)
def test_weight_circuits_of_built_heads_are_those_of_theory(build, ov, qk):
    scores = weight_scores(build())
    np.testing.assert_allclose(scores["ov_eigenvalue"], ov, atol=1e-9)
    np.testing.assert_allclose(scores["qk_eigenvalue"], qk, atol=1e-9)


def test_the_qk_trace_is_the_attention_score_of_a_token_to_the_place_after_its_copy():
    # A normalised embedding is c (e_t − 1/v), with c² = 1 / (variance + ε) and variance
    # (1 − 1/v) / d_model. Queries and keys of 1.0 are SHARP times that, keys through 0.0, whose
    # previous-token score of 1 is the weight; (e_t − 1/v) has squared length 1 − 1/v.
    model = induction_model()
    squared_length = 1 - 1 / D_VOCAB
    c_squared = 1 / (squared_length / D_MODEL + model.ln_final.eps)
    expected = SHARP**2 * c_squared * squared_length / math.sqrt(model.spec.d_head)
    trace = weight_scores(model)["qk_trace"]
    np.testing.assert_allclose(trace, [[nan, nan], [expected, 0]], rtol=1e-5)


def test_a_head_that_turns_what_it_reads_has_a_negative_or_no_eigenvalue_score():
    eye = torch.eye(4)
    assert eigenvalue_score(eye, -eye) == pytest.approx(-1.0)
    quarter_turn = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])  # eigenvalues ±i
    assert eigenvalue_score(eye[:2, :2], quarter_turn) == pytest.approx(0.0, abs=1e-12)
    # Orthogonal up to rounding: no direction is copied, however the noise falls.
    a, b = torch.linalg.qr(torch.randn(32, 16, dtype=torch.float64))[0].split(8, dim=1)
    assert eigenvalue_score(a.T, b) == 0.0


@pytest.mark.parametrize(
    ("build", "kqv"),
    # ‖A B‖ / (‖A‖ ‖B‖) of identities between places of v dimensions: √v / (√v √v).
    [
        (induction_model, (D_VOCAB**-0.5, 0, 0)),
        (q_composition_model, (0, D_VOCAB**-0.5, 0)),
        (v_composition_model, (0, 0, D_VOCAB**-0.5)),
    ],
)
def test_composition_tells_which_input_a_head_reads_through(build, kqv):
    pairs = composition.measure(build())
    assert pairs.select("layer", "head", "from_layer", "from_head").rows() == [
        (1, head, 0, below) for head in range(2) for below in range(2)
    ]
    assert pairs.select("k", "q", "v").row(0) == pytest.approx(kqv, abs=1e-9)
    # Undefined with an idle head at either end.
    assert pairs.select("k", "q", "v").rows()[1:] == [(None, None, None)] * 3


def test_one_layer_has_no_composition():
    pairs = composition.measure(one_layer_model())
    assert pairs.is_empty()
    assert pairs.schema == composition.measure(induction_model()).schema


def test_only_composition_through_keys_makes_an_induction_head():
    evaluation = evaluate()
    uniform = uniform_prefix_score(evaluation, 1)
    expected = {
        induction_model: 1.0,
        q_composition_model: 0.0,  # attends to earlier copies of the token before
        v_composition_model: 0.0,  # attends to the previous token
        one_layer_model: uniform,  # its keys read a place that nothing was written to
    }
    for build, score in expected.items():
        scores = prefix_matching.measure(build(), evaluation)["prefix_matching"]
        assert scores[-1, 0] == pytest.approx(score, abs=1e-5)
        assert scores[:, 1] == pytest.approx(uniform, abs=1e-5)


def test_composition_through_queries_finds_the_copies_of_the_token_before():
    evaluation, model = evaluate(), q_composition_model()
    shares = []
    for row, period in zip(evaluation.probes.tokens, evaluation.probes.periods, strict=True):
        in_sequence = []
        for query in range(period + 1, 4 * period + 1):
            attended = [k for k in range(query + 1) if row[k] == row[query - 1]]
            targets = [k for k in attended if 1 <= k < query - 1]
            in_sequence.append(len(targets) / len(attended))
        shares.append(np.mean(in_sequence))
    score = prefix_matching.measure(model, evaluation)["token_before"][1, 0]
    # Its scores are large, so that copies attended to alike differ by some of float32's last bits.
    assert score == pytest.approx(np.mean(shares), abs=1e-4)


def test_composition_through_values_moves_tokens_by_two_places():
    tokens = repeated_tokens()
    predicted = v_composition_model()(tokens).argmax(dim=-1)
    assert torch.equal(predicted[0, 2:], tokens[0, :-2])
    scores = previous_token.measure(v_composition_model(), evaluate())["previous_token"]
    assert scores[:, 0] == pytest.approx([1.0, 1.0], abs=1e-5)


def test_smeared_keys_make_an_induction_head_in_one_layer():
    model, evaluation = smeared_model(), evaluate()
    scores = prefix_matching.measure(model, evaluation)
    assert scores["prefix_matching"][0, 0] == pytest.approx(1.0, abs=1e-5)
    assert scores["same_token"][0, 0] == pytest.approx(0.0, abs=1e-5)
    assert scores["token_before"][0, 0] == pytest.approx(0.0, abs=1e-5)
    assert scores["prefix_matching"][0, 1] == pytest.approx(
        uniform_prefix_score(evaluation, 1), abs=1e-5
    )
    copied = copying.measure(model, evaluation)["copying"]
    np.testing.assert_allclose(copied, [[1, CHANCE]], atol=1e-6)
    tokens = repeated_tokens()
    assert torch.equal(model(tokens)[0, 17:-1].argmax(dim=-1), tokens[0, 18:])


def test_without_its_induction_head_the_built_model_knows_nothing():
    # Nothing else writes where the unembedding reads: all logits are 0, the loss is ln v.
    tokens = repeated_tokens()
    gone = Intervention(head_scale={1: torch.tensor([0.0, 1.0])})
    logits = induction_model()(tokens, intervene=gone)
    torch.testing.assert_close(logits, torch.zeros(1, 64, D_VOCAB), rtol=0, atol=1e-5)
    idle = Intervention(head_scale={0: torch.tensor([1.0, 0.0]), 1: torch.tensor([1.0, 0.0])})
    assert torch.equal(induction_model()(tokens, intervene=idle), induction_model()(tokens))


def test_without_the_previous_token_head_the_induction_head_attends_evenly():
    tokens = repeated_tokens()
    record = Record(("pattern",))
    gone = Intervention(head_scale={0: torch.tensor([0.0, 1.0])})
    induction_model()(tokens, record, gone)
    even = torch.ones(64, 64).tril() / torch.arange(1, 65)[:, None]
    torch.testing.assert_close(record["pattern", 1][0, 0], even)


def test_random_heads_copy_and_compose_by_chance():
    evaluation = evaluate()
    copied, ov, composed = [], [], []
    for seed in range(12):
        model = random_model(seed)
        copied.append(copying.measure(model, evaluation)["copying"])
        ov.append(weight_scores(model)["ov_eigenvalue"])
        composed.append(composition.measure(model).select("k", "q", "v").to_numpy())
    assert np.mean(copied) == pytest.approx(CHANCE, abs=0.05)
    assert np.mean(ov) == pytest.approx(0.0, abs=0.1)
    assert np.mean(composed) == pytest.approx(random_model().spec.d_model ** -0.5, rel=0.1)


@pytest.mark.parametrize("attn_only", [True, False])
def test_small_factors_give_what_the_full_matrices_give(attn_only):
    model, evaluation = uneven_model(attn_only=attn_only), evaluate()
    scores = weight_scores(model)
    weights = previous_token.measure(model, evaluation)["previous_token"]
    unembed = model.ln_final.weight[:, None] * model.W_U
    unembed = (unembed - unembed.mean(dim=0)).double()
    below, above = (block.ln1(model.W_E).double() for block in model.blocks)
    for layer, embedding in enumerate((below, above)):
        for head in range(4):
            full_ov = embedding @ _ov(model, layer, head) @ unembed
            assert full_ov.shape == (D_VOCAB, D_VOCAB)
            assert scores["ov_eigenvalue"][layer, head] == pytest.approx(_score(full_ov), abs=1e-5)
    written = torch.stack([weights[0, head] * below @ _ov(model, 0, head) for head in range(4)])
    written = written.sum(dim=0) - written.sum(dim=0).mean(dim=1, keepdim=True)
    for head in range(4):
        full_qk = above @ _qk(model, 1, head) @ (written * model.blocks[1].ln1.weight).T
        assert full_qk.shape == (D_VOCAB, D_VOCAB)
        trace = float(full_qk.trace()) / D_VOCAB / math.sqrt(model.spec.d_head)
        assert scores["qk_trace"][1, head] == pytest.approx(trace, abs=1e-5)
        assert scores["qk_eigenvalue"][1, head] == pytest.approx(_score(full_qk), abs=1e-5)


def test_composition_in_small_factors_is_that_of_the_full_matrices():
    model = uneven_model()
    gain = model.blocks[1].ln1.weight[:, None].double()
    for row in composition.measure(model).iter_rows(named=True):
        below = _ov(model, 0, row["from_head"])
        qk, ov = _qk(model, 1, row["head"]), _ov(model, 1, row["head"])
        # The other side of QK reads the stream through the same norm, but not what `below` wrote.
        for name, above in {
            "k": gain * qk.T * gain.T,
            "q": gain * qk * gain.T,
            "v": gain * ov,
        }.items():
            expected = (below @ above).norm() / (below.norm() * above.norm())
            assert row[name] == pytest.approx(float(expected), abs=1e-6)


def _ov(model: Transformer, layer: int, head: int) -> Tensor:
    """W_V W_O of one head, [D, D]."""
    attention, own = model.blocks[layer].attn, slice(8 * head, 8 * head + 8)
    return (attention.W_V[:, own] @ attention.W_O[own]).double()


def _qk(model: Transformer, layer: int, head: int) -> Tensor:
    """W_Q W_Kᵀ of one head, [D, D]."""
    attention, own = model.blocks[layer].attn, slice(8 * head, 8 * head + 8)
    return (attention.W_Q[:, own] @ attention.W_K[:, own].T).double()


def _score(matrix: Tensor) -> float:
    eigenvalues = torch.linalg.eigvals(matrix)
    return float(eigenvalues.real.sum() / eigenvalues.abs().sum())
