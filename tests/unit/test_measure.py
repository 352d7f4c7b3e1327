"""The measurements, on models whose answer is known."""

import numpy as np
import pytest
import torch
from built_models import D_VOCAB, N_CTX, induction_model, random_model

from induction.config import Evaluation as Settings
from induction.errors import StudyError
from induction.evaluation.evaluation_set import EvaluationSet, make_evaluation
from induction.measure import losses, prefix_matching, previous_token, smear

SETTINGS = Settings(
    examples=20,
    tokens_per_example=3,
    early=(4, 7),
    late=(50, 60),
    pattern_examples=10,
    probe_sequences=12,
    probe_repeats=4,
    probe_period=(8, 14),
    probe_vocab_quantiles=(0.1, 0.9),
    seed=0,
)


def text(seed: int = 0, documents: int = 30) -> np.ndarray:
    """Documents of random tokens, each after a start token (0)."""
    random = np.random.default_rng(seed)
    parts = [np.append(0, random.integers(1, D_VOCAB, 150)) for _ in range(documents)]
    return np.concatenate(parts).astype(np.uint16)


def evaluate(settings: Settings = SETTINGS) -> EvaluationSet:
    counts = np.arange(D_VOCAB) + 1
    return make_evaluation(text(), counts, 0, N_CTX, settings)


def test_built_heads_score_one_and_all_others_what_uniform_attention_gives():
    model, evaluation = induction_model(), evaluate()
    before = previous_token.measure(model, evaluation)["previous_token"]
    uniform = np.mean([1 / (i + 1) for i in range(1, N_CTX)])
    assert before[0, 0] == pytest.approx(1.0, abs=1e-5)
    assert before[[0, 1], [1, 1]] == pytest.approx(uniform, abs=1e-5)

    scores = prefix_matching.measure(model, evaluation)
    assert scores["prefix_matching"][1, 0] == pytest.approx(1.0, abs=1e-5)
    assert scores["same_token"][1, 0] == pytest.approx(0.0, abs=1e-5)
    assert scores["token_before"][1, 0] == pytest.approx(0.0, abs=1e-5)
    assert scores["prefix_matching"][0, 0] == pytest.approx(0.0, abs=1e-5)
    for name in prefix_matching.OFFSETS:
        expected = uniform_prefix_score(evaluation, prefix_matching.OFFSETS[name])
        assert scores[name][:, 1] == pytest.approx(expected, abs=1e-5)


def uniform_prefix_score(evaluation: EvaluationSet, offset: int) -> float:
    """The score of a head with uniform attention, counted query by query."""
    probes = evaluation.probes
    per_sequence = []
    for row, period in zip(probes.tokens.numpy(), probes.periods, strict=True):
        shares = []
        for query in range(period + 1, probes.repeats * period + 1):
            copies = [k for k in range(1, query) if row[k] == row[query]]
            targets = [k + offset for k in copies if k + offset >= 1]
            shares.append(len(targets) / (query + 1))
        per_sequence.append(np.mean(shares))
    return float(np.mean(per_sequence))


@pytest.mark.parametrize("measure", [previous_token.measure, prefix_matching.measure])
def test_small_random_weights_give_chance_level(measure):
    model, evaluation = random_model(), evaluate()
    with torch.no_grad():
        for block in model.blocks:
            block.attn.W_Q.mul_(1e-4)
    uniform = {
        "previous_token": np.mean([1 / (i + 1) for i in range(1, N_CTX)]),
        **{k: uniform_prefix_score(evaluation, o) for k, o in prefix_matching.OFFSETS.items()},
    }
    found = measure(model, evaluation)
    for name in found.keys() & uniform.keys():
        assert found[name] == pytest.approx(np.full((2, 4), uniform[name]), abs=1e-3)


@pytest.mark.parametrize("measure", [previous_token.measure, prefix_matching.measure])
def test_batch_size_changes_no_score(measure):
    model, evaluation = random_model(), evaluate()
    whole, single = measure(model, evaluation, 12), measure(model, evaluation, 1)
    for name in whole:
        np.testing.assert_allclose(whole[name], single[name], atol=1e-6)


@pytest.mark.parametrize("measure", [previous_token.measure, prefix_matching.measure])
def test_permuted_heads_give_permuted_scores(measure):
    model, evaluation = random_model(), evaluate()
    before = measure(model, evaluation)
    order = [2, 0, 3, 1]
    with torch.no_grad():
        for block in model.blocks:
            for weight in (block.attn.W_Q, block.attn.W_K, block.attn.W_V):
                weight.copy_(weight.unflatten(1, (4, 8))[:, order].flatten(1))
            weight = block.attn.W_O
            weight.copy_(weight.unflatten(0, (4, 8))[order].flatten(0, 1))
    after = measure(model, evaluation)
    for name in before:
        np.testing.assert_allclose(after[name], before[name][:, order], atol=1e-5)


def test_a_model_that_knows_nothing_loses_ln_vocabulary_everywhere():
    model, evaluation = random_model(), evaluate()
    with torch.no_grad():
        model.W_U.zero_()
    result = losses.measure(model, evaluation)
    for name in ("per_token", "per_index", "early", "late"):
        np.testing.assert_allclose(result[name], np.log(D_VOCAB), rtol=1e-5)
    assert result["per_token"].shape == (60,)
    assert result["per_index"].shape == (N_CTX,)
    assert result["early"].shape == (20,)


def test_losses_of_what_can_and_cannot_be_copied_make_up_the_windows():
    model, evaluation = random_model(), evaluate()
    evaluation.tokens[:, 40:60] = evaluation.tokens[:, 20:40]  # so that there is something to copy
    result = losses.measure(model, evaluation)
    share = evaluation.copyable[:, slice(evaluation.late[0], evaluation.late[1] + 1)].mean()
    assert 0 < share < 1
    mixed = share * result["copyable"][1] + (1 - share) * result["uncopyable"][1]
    assert mixed == pytest.approx(result["late"].mean(), rel=1e-5)


def test_where_nothing_can_be_copied_there_is_no_loss_of_it():
    nothing = np.zeros((2, 10), dtype=bool)
    assert np.isnan(losses.mean_where(np.ones((2, 10)), nothing, (2, 5)))
    assert losses.mean_where(np.arange(20.0).reshape(2, 10), ~nothing, (2, 3)) == 7.5


def test_losses_are_those_of_the_next_token_at_each_index():
    model, evaluation = random_model(), evaluate()
    table = losses.token_losses(model, evaluation, batch_size=7)
    example, index = 13, 42
    logits = model(evaluation.tokens[example : example + 1, : index + 1])[0, -1]
    expected = -logits.log_softmax(-1)[evaluation.tokens[example, index + 1]]
    assert table[example, index] == pytest.approx(float(expected), abs=1e-4)
    result = losses.measure(model, evaluation)
    assert result["late"][example] == pytest.approx(table[example, 50:61].mean(), abs=1e-5)
    kept = table[example, evaluation.kept[example]]
    assert result["per_token"][39:42] == pytest.approx(kept, abs=1e-5)


def test_the_built_model_has_a_better_icl_score_on_repeating_text():
    random = np.random.default_rng(3)
    repeating = np.concatenate(
        [np.append(0, np.tile(1 + random.permutation(D_VOCAB - 1)[:20], 10)) for _ in range(30)]
    ).astype(np.uint16)
    evaluation = make_evaluation(repeating, np.ones(D_VOCAB), 0, N_CTX, SETTINGS)
    result = losses.measure(induction_model(), evaluation)
    assert result["late"].mean() < 0.01
    assert result["early"].mean() > 1.0


def test_probes_repeat_vary_and_avoid_rare_and_common_tokens():
    probes = evaluate().probes
    assert len(set(probes.periods)) > 3
    assert probes.periods.min() >= 8
    assert probes.periods.max() <= 14
    allowed = set(range(4, 28))  # counts rise with the id: the lowest and highest tenth are out
    for row, period in zip(probes.tokens.numpy(), probes.periods, strict=True):
        segment = row[1 : 1 + period]
        assert row[0] == 0
        assert len(set(segment)) == period
        assert set(segment) <= allowed
        assert np.array_equal(row[1 : 1 + 4 * period], np.tile(segment, 4))


def test_examples_lie_inside_one_document_and_are_the_same_each_time():
    evaluation = evaluate()
    assert not (evaluation.tokens == 0).any()
    assert torch.equal(evaluation.tokens, evaluate().tokens)
    other = evaluate(SETTINGS.model_copy(update={"seed": 1}))
    assert not torch.equal(evaluation.tokens, other.tokens)


def test_documents_shorter_than_the_context_are_refused():
    with pytest.raises(StudyError, match="longer than every validation document"):
        make_evaluation(text(), np.ones(D_VOCAB), 0, 200, SETTINGS)


def test_the_share_of_a_positions_own_key_is_read_off_smeared_keys_alone():
    model = random_model(smeared_keys=True)
    with torch.no_grad():
        for layer, block in enumerate(model.blocks):
            assert block.attn.smear is not None
            block.attn.smear.copy_(torch.tensor([-100.0, 0.0, np.log(3), 100.0]) * (1 - layer))
    found = smear.measure(model, evaluate())["own_key_share"]
    np.testing.assert_allclose(found, [[0.0, 0.5, 0.75, 1.0], [0.5] * 4], atol=1e-6)
    assert np.isnan(smear.measure(random_model(), evaluate())["own_key_share"]).all()
