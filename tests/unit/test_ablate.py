"""Ablations, on models in which what each head does is known."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import torch.nn.functional as F
from built_models import D_MODEL, D_VOCAB, N_CTX, SHARP, induction_model, random_model
from hypothesis import given
from hypothesis import strategies as st

from induction.ablate import evaluator
from induction.ablate.effects import (
    before_after_vector,
    effect_of,
    icl_change,
    icl_interval,
)
from induction.ablate.evaluator import KINDS, Ablation, ablated_losses
from induction.ablate.heads import all_heads, head_ablations, head_rows, named_heads
from induction.ablate.sets import head_sets, matched_set, set_rows
from induction.config import HeadKinds as Rule
from induction.evaluation.evaluation_set import EvaluationSet
from induction.evaluation.probes import Probes
from induction.model.hooks import Intervention, Record
from induction.model.transformer import Transformer
from induction.model.weights import Snapshot, evenly_picked
from induction.rules.head_kinds import Head, HeadKinds, find_head_kinds, head_names

_NOWHERE = Path("nowhere")
HEADS_2_4 = [(layer, head) for layer in range(2) for head in range(4)]
HEADS_3_4 = [(layer, head) for layer in range(3) for head in range(4)]


def evaluate(examples: int = 12, period: int | None = None, seed: int = 0) -> EvaluationSet:
    """Examples of random tokens; with a period, each repeats a segment without repeats inside.

    The built model knows what follows from index period + 1 on: at index 0 the previous-token head
    can but attend to the token itself, so at the first repeat 1.0 finds two continuations.
    """
    random = np.random.default_rng(seed)
    if period:
        segments = [random.permutation(D_VOCAB)[:period] for _ in range(examples)]
        tokens = np.stack([np.resize(segment, N_CTX + 1) for segment in segments])
    else:
        tokens = random.integers(D_VOCAB, size=(examples, N_CTX + 1))
    kept = np.stack([np.sort(random.choice(N_CTX, 3, replace=False)) for _ in range(examples)])
    probes = Probes(torch.zeros(1, 1, dtype=torch.int64), np.array([1]), 2)
    return EvaluationSet(torch.from_numpy(tokens), kept, (4, 7), (50, 60), 1, probes)


def change(
    model: Transformer, evaluation: EvaluationSet, kind, *heads: Head, **options
) -> np.ndarray:
    """Ablated − intact loss of every token, [examples, n_ctx]."""
    ablation = Ablation(frozenset(heads), kind)
    losses = ablated_losses(model, evaluation, [ablation], **options)
    return losses.ablated[ablation] - losses.intact


def loss_table(evaluation: EvaluationSet, logits: torch.Tensor) -> np.ndarray:
    targets = evaluation.tokens[:, 1:]
    return F.cross_entropy(logits.transpose(1, 2), targets, reduction="none").numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_idle_heads_of_the_built_model_do_nothing(kind):
    model, evaluation = induction_model(), evaluate(period=20)
    for heads in ([(0, 1)], [(1, 1)], [(0, 1), (1, 1)]):
        table = change(model, evaluation, kind, *heads)
        # The built heads' scores are so large that their rounding moves losses of 200 nats.
        np.testing.assert_allclose(table, 0.0, atol=1e-2)
        effect = effect_of(table, evaluation, None)
        assert effect.icl_attribution == pytest.approx(0.0, abs=1e-4)
        assert effect.loss_change == pytest.approx(0.0, abs=1e-4)
        assert effect.before_after is None


def test_batches_are_fitted_again_beside_the_head_outputs_of_all(monkeypatch):
    model, examples = random_model(2), evaluate(examples=5)
    expected = change(model, examples, "mean", (0, 1), batch_size=1)
    sizes, seen = iter((4, 2)), []
    monkeypatch.setattr(evaluator, "fitting_batch", lambda *_, **__: next(sizes))
    residual = model.residual
    monkeypatch.setattr(
        model, "residual", lambda tokens, *rest: seen.append(len(tokens)) or residual(tokens, *rest)
    )
    np.testing.assert_allclose(change(model, examples, "mean", (0, 1)), expected, atol=1e-5)
    assert seen[:2] == [4, 1]
    assert max(seen[2:]) == 2


@pytest.mark.parametrize("kind", ["zero", "pattern_preserving"])
def test_without_the_induction_head_every_token_is_as_likely_as_any(kind):
    model, evaluation = induction_model(), evaluate(period=20)
    ablation = Ablation(frozenset({(1, 0)}), kind)
    losses = ablated_losses(model, evaluation, [ablation])
    np.testing.assert_allclose(losses.ablated[ablation], np.log(D_VOCAB), rtol=1e-5)
    assert losses.intact[:, 21:].max() < 1e-3

    table = losses.ablated[ablation] - losses.intact
    effect = effect_of(table, evaluation, None)
    early, late = losses.intact[:, 4:8].mean(), losses.intact[:, 50:61].mean()
    assert effect.icl_attribution == pytest.approx(early - late, rel=1e-5)
    assert effect.icl_attribution > 1.0
    assert effect.loss_change == pytest.approx(np.log(D_VOCAB) - losses.intact.mean(), rel=1e-4)


def test_without_the_previous_token_head_the_induction_head_averages_all_tokens():
    """All keys of 1.0 are then zero, so it attends evenly to every token so far."""
    model, evaluation = induction_model(), evaluate(period=20)
    table = change(model, evaluation, "zero", (0, 0))

    one = np.eye(D_VOCAB) - 1 / D_VOCAB
    squared = one[0] @ one[0]
    eps = model.ln_final.eps
    tokens = evaluation.tokens[:, :-1].numpy()
    mean = one[tokens].cumsum(axis=1) / np.arange(1, N_CTX + 1)[:, None]
    written = mean / np.sqrt(squared / D_MODEL + eps)
    variance = (squared + (written**2).sum(axis=-1, keepdims=True)) / D_MODEL
    logits = SHARP * written / np.sqrt(variance + eps)
    expected = loss_table(evaluation, torch.from_numpy(logits))
    intact = loss_table(evaluation, model(evaluation.tokens[:, :-1]))
    np.testing.assert_allclose(table, expected - intact, rtol=1e-4, atol=1e-3)
    assert table[:, 21:].mean() > 1.0


def test_with_patterns_kept_the_previous_token_head_is_not_missed():
    """It has no direct path to the logits: what it writes only says where 1.0 is to look."""
    model, evaluation = induction_model(), evaluate(period=20)
    table = change(model, evaluation, "pattern_preserving", (0, 0))
    np.testing.assert_allclose(table[:, 21:], 0.0, atol=1e-3)
    assert change(model, evaluation, "zero", (0, 0))[:, 21:].mean() > 1.0


def test_undoing_the_phase_change_scores_minus_its_length():
    model, evaluation = induction_model(), evaluate(period=20)
    ablation = Ablation(frozenset({(1, 0)}), "zero")
    losses = ablated_losses(model, evaluation, [ablation])
    before, after = (
        np.take_along_axis(table, evaluation.kept, axis=1).ravel()
        for table in (losses.ablated[ablation], losses.intact)
    )
    far_off = np.full_like(before, 7.0)
    direction = before_after_vector(
        np.array([0, 100, 200, 400]), np.stack([far_off, before, after, far_off]), (90.0, 260.0)
    )
    assert direction is not None
    assert np.linalg.norm(direction) == pytest.approx(1.0)
    effect = effect_of(losses.ablated[ablation] - losses.intact, evaluation, direction)
    assert effect.before_after == pytest.approx(-np.linalg.norm(after - before), rel=1e-4)
    idle = effect_of(change(model, evaluation, "zero", (1, 1)), evaluation, direction)
    assert idle.before_after == pytest.approx(0.0, abs=1e-3)


def test_a_band_inside_one_snapshot_has_no_direction():
    same = before_after_vector(np.array([100, 200]), np.array([[1.0], [2.0]]), (90.0, 110.0))
    assert same is None


@pytest.mark.parametrize(
    "changes", [{}, {"attn_only": False}, {"smeared_keys": True}, {"n_layers": 3}]
)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("heads", [[(0, 1)], [(1, 3)], [(0, 0), (1, 2), (1, 3)], HEADS_2_4])
def test_the_shortened_runs_equal_whole_runs(changes, kind, heads):
    model, evaluation = random_model(**changes), evaluate(examples=7)
    tokens = evaluation.tokens[:, :-1]
    run = Record(("z", "pattern"))
    intact = model(tokens, run)
    scale, offset = {}, {}
    for layer in range(model.spec.n_layers):
        scale[layer] = torch.ones(4)
        offset[layer] = torch.zeros_like(run["z", layer])
        for head in (head for at, head in heads if at == layer):
            scale[layer][head] = 0.0
            z = run["z", layer][:, head]
            if kind == "mean":
                offset[layer][:, head] = z.flatten(0, 1).mean(dim=0)
            elif kind == "resample":
                offset[layer][:, head] = z.roll(-1, dims=0)
    patterns = {layer: run["pattern", layer] for layer in range(model.spec.n_layers)}
    kept = patterns if kind == "pattern_preserving" else {}
    ablated = model(tokens, None, Intervention(scale, offset, patterns=kept))
    expected = loss_table(evaluation, ablated) - loss_table(evaluation, intact)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(change(model, evaluation, kind, *heads), expected, atol=1e-4)


@pytest.mark.parametrize("kind", ["zero", "pattern_preserving"])
@pytest.mark.parametrize("attn_only", [True, False])
def test_ablating_a_last_layer_head_subtracts_what_it_writes(attn_only, kind):
    model, evaluation = random_model(attn_only=attn_only), evaluate()
    tokens, head = evaluation.tokens[:, :-1], 2
    run = Record(("resid_pre", "z"))
    intact = model(tokens, run)
    block, z = model.blocks[1], run["z", 1]
    stream = run["resid_pre", 1] + z.transpose(1, 2).flatten(2) @ block.attn.W_O
    stream = stream - z[:, head] @ block.attn.W_O.unflatten(0, (4, -1))[head]
    if block.mlp is not None and block.ln2 is not None:
        stream = stream + block.mlp(block.ln2(stream))
    ablated = model.ln_final(stream) @ model.W_U
    expected = loss_table(evaluation, ablated) - loss_table(evaluation, intact)
    np.testing.assert_allclose(change(model, evaluation, kind, (1, head)), expected, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_no_heads_batch_size_and_repetition_change_nothing(kind):
    model, evaluation = random_model(), evaluate()
    np.testing.assert_allclose(change(model, evaluation, kind), 0.0, atol=1e-5)
    heads = [(0, 2), (1, 1)]
    whole = change(model, evaluation, kind, *heads, batch_size=12)
    for batch_size in (1, 5):
        batched = change(model, evaluation, kind, *heads, batch_size=batch_size)
        np.testing.assert_allclose(batched, whole, atol=1e-5)
    np.testing.assert_array_equal(change(model, evaluation, kind, *heads, batch_size=12), whole)


def test_head_outputs_are_not_there_twice(monkeypatch):
    """What was recorded of the batches is let go layer by layer."""
    model, evaluation, runs = random_model(), evaluate(), []

    def record(*given):
        runs.append(Record(*given))
        return runs[-1]

    monkeypatch.setattr(evaluator, "Record", record)
    found = evaluator._all_head_outputs(model, evaluation, 5)
    assert len(runs) == 3
    assert not any(run.values for run in runs)
    assert {len(z) for z in found.values()} == {len(evaluation.tokens)}


def test_resampling_looks_at_another_example_and_the_mean_at_all():
    model, evaluation = random_model(), evaluate()
    resampled = change(model, evaluation, "resample", (0, 1))
    assert np.abs(resampled - change(model, evaluation, "mean", (0, 1))).max() > 0.01
    same = evaluation.first(1).tokens.repeat(4, 1)
    alike = EvaluationSet(same, evaluation.kept[:4], (4, 7), (50, 60), 1, evaluation.probes)
    np.testing.assert_allclose(change(model, alike, "resample", (0, 1)), 0.0, atol=1e-5)
    assert np.abs(change(model, alike, "mean", (0, 1))).max() > 0.01


def test_permuted_heads_have_permuted_effects():
    model, evaluation, order = random_model(), evaluate(), [2, 0, 3, 1]
    before = _changes(model, evaluation)
    for block in model.blocks:
        for weight in (block.attn.W_Q, block.attn.W_K, block.attn.W_V):
            weight.copy_(weight.unflatten(1, (4, 8))[:, order].flatten(1))
        weight = block.attn.W_O
        weight.copy_(weight.unflatten(0, (4, 8))[order].flatten(0, 1))
    for ablation, after in _changes(model, evaluation).items():
        [(layer, head)] = ablation.heads
        was = before[Ablation(frozenset({(layer, order[head])}), ablation.kind)]
        np.testing.assert_allclose(after, was, atol=1e-4)


def _changes(model: Transformer, evaluation: EvaluationSet) -> dict[Ablation, np.ndarray]:
    losses = ablated_losses(model, evaluation, head_ablations(all_heads(model.spec)))
    return {ablation: table - losses.intact for ablation, table in losses.ablated.items()}


def test_the_interval_is_that_of_the_mean_over_examples():
    evaluation = evaluate(examples=400)
    constant = np.zeros((400, N_CTX), dtype=np.float32)
    constant[:, 50:61] = 0.5
    assert icl_interval(constant, evaluation, resamples=500, seed=0) == pytest.approx((0.5, 0.5))
    noisy = constant + np.random.default_rng(1).normal(0, 2, (400, 1)) * (constant > 0)
    low, high = icl_interval(noisy, evaluation, resamples=500, seed=0)
    spread = icl_change(noisy, evaluation).std() / 20
    mean = effect_of(noisy, evaluation, None).icl_attribution
    assert low == pytest.approx(mean - 1.96 * spread, abs=0.3 * spread)
    assert high == pytest.approx(mean + 1.96 * spread, abs=0.3 * spread)
    assert icl_interval(noisy, evaluation, resamples=500, seed=0) == (low, high)


@given(st.sets(st.sampled_from(HEADS_3_4)), st.integers(0, 1000))
def test_random_sets_match_the_layers_and_hold_no_wanted_head(wanted, seed):
    spec = random_model(n_layers=3).spec
    drawn = matched_set(spec, wanted, np.random.default_rng(seed))
    assert drawn == matched_set(spec, wanted, np.random.default_rng(seed))
    assert not drawn & wanted
    assert len(drawn) == min(len(wanted), 12 - len(wanted))
    for layer in range(3):
        asked = sum(at == layer for at, _ in wanted)
        found = sum(at == layer for at, _ in drawn)
        assert found >= min(asked, 4 - asked)
        if all(sum(at == k for at, _ in wanted) <= 2 for k in range(3)):
            assert found == asked


def test_draws_differ_and_depend_on_the_seed_alone():
    spec = random_model().spec
    kinds = HeadKinds(induction=((1, 0),), previous_token=((0, 2), (0, 3)))
    sets = head_sets(spec, kinds, 20, seed=0)
    assert [(s.name, s.draw) for s in sets[:3]] == [
        ("induction", 0),
        ("previous_token", 0),
        ("random", 0),
    ]
    drawn = [s.heads for s in sets[2:]]
    assert set(drawn) == {frozenset({(1, head)}) for head in (1, 2, 3)}
    assert len(drawn) == 3  # there are no more
    assert sets == head_sets(spec, kinds, 20, seed=0)
    assert head_sets(spec, kinds, 2, seed=0) == sets[:4]
    others = [head_sets(spec, kinds, 2, seed) for seed in range(1, 6)]
    assert any(sets[:4] != other for other in others)


def test_a_model_without_induction_heads_has_no_such_rows():
    spec = random_model().spec
    assert head_sets(spec, HeadKinds((), ()), 5, seed=0) == []
    assert [s.name for s in head_sets(spec, HeadKinds((), ((0, 1),)), 5, seed=0)] == [
        "previous_token"
    ]
    assert set_rows(Snapshot(0, 0, _NOWHERE), [], {}, {}).is_empty()


def test_tables_have_a_row_for_each_head_or_set_and_kind():
    model, evaluation = random_model(), evaluate()
    kinds = HeadKinds(induction=((1, 3), (1, 0)), previous_token=())
    sets = head_sets(model.spec, kinds, 2, seed=0)
    asked = [ablation for group in sets for ablation in group.ablations()]
    single = head_ablations(all_heads(model.spec))
    losses = ablated_losses(model, evaluation, [*single, *asked])
    tables = {key: table - losses.intact for key, table in losses.ablated.items()}
    effects = {key: effect_of(table, evaluation, None) for key, table in tables.items()}
    snapshot = Snapshot(30, 4000, _NOWHERE)
    heads = head_rows(snapshot, single, effects)
    assert heads.shape == (2 * 4 * 4, 8)
    row = heads.filter(layer=1, head=2, kind="mean").row(0, named=True)
    expected = effect_of(change(model, evaluation, "mean", (1, 2)), evaluation, None)
    assert row["step"] == 30
    assert row["tokens"] == 4000
    assert row["icl_attribution"] == pytest.approx(expected.icl_attribution, abs=1e-6)
    assert row["loss_change"] == pytest.approx(expected.loss_change, abs=1e-6)
    assert row["before_after"] is None
    rows = set_rows(snapshot, sets, effects, {asked[0]: (-1.0, 1.0)})
    # Of the second layer's heads, one other pair is left.
    assert rows.shape == (4 + 2, 12)
    first = rows.row(0, named=True)
    assert (first["set"], first["heads"], first["n_heads"]) == ("induction", "1.0 1.3", 2)
    assert (first["icl_low"], first["icl_high"]) == (-1.0, 1.0)
    assert rows["icl_low"].null_count() == 5
    assert rows.schema == set_rows(snapshot, [], {}, {}).schema


def test_heads_are_of_a_kind_when_their_scores_reach_the_thresholds():
    scores = pl.DataFrame(
        {
            "layer": [1, 0, 1, 1, 0],
            "head": [1, 0, 0, 2, 1],
            "prefix_matching": [0.3, 0.0, 0.9, 0.9, float("nan")],
            "total_copying": [0.2, 0.9, 0.2, 0.1, 0.9],
            "total_copying_low": [0.1, 0.8, 0.1, 0.05, 0.8],
            "previous_token": [0.0, 0.5, None, 0.9, 0.49],
        }
    )
    rule = Rule(prefix_matching=0.3, total_copying=0.2, previous_token=0.5)
    kinds = find_head_kinds(scores, rule)
    assert kinds.induction == ((1, 0), (1, 1))
    assert kinds.previous_token == ((0, 0), (1, 2))
    unsure = scores.with_columns(total_copying_low=pl.Series([0.0, 0.8, 0.1, 0.05, None]))
    assert find_head_kinds(unsure, rule).induction == ((1, 0),)
    assert head_names({(1, 3), (0, 10), (1, 0)}) == "0.10 1.0 1.3"


def test_ablation_snapshots_are_even_and_end_with_the_last():
    snapshots = [Snapshot(step, step * 10, _NOWHERE) for step in range(60)]
    picked = [s.step for s in evenly_picked(snapshots, 12)]
    assert picked == list(range(4, 60, 5))
    assert [s.step for s in evenly_picked(snapshots, 1)] == [59]
    assert evenly_picked(snapshots, 60) == snapshots
    assert evenly_picked(snapshots[:3], 12) == snapshots[:3]
    for count in range(1, 60):
        steps = [s.step for s in evenly_picked(snapshots, count)]
        assert len(set(steps)) == count
        assert steps[-1] == 59


def test_heads_of_a_kind_are_taken_out_alone_beside_one_random_set():
    spec = random_model(n_layers=3).spec
    kinds = HeadKinds(induction=((2, 0), (2, 1)), previous_token=((0, 3),))
    sets = head_sets(spec, kinds, 3, seed=0)
    first_random = next(s.heads for s in sets if s.name == "random")
    assert len(first_random) == 2
    named = named_heads(kinds, sets)
    assert named == sorted({(0, 3), (2, 0), (2, 1), *first_random})
    assert named_heads(HeadKinds((), ()), []) == []


def test_progress_of_ablations_ends_with_the_last():
    model, evaluation = random_model(), evaluate()
    shares: list[float] = []
    asked = head_ablations([(0, 1), (1, 2)])
    ablated_losses(model, evaluation, asked, batch_size=3, tell=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    assert shares[0] < 0.2
