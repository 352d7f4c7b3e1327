"""Training: it learns, it is repeatable, and it says when it cannot go on."""

import functools
import itertools

import numpy as np
import pytest
import torch
from tiny_training import SPEC, TOKENS, WINDOWS

from induction.config import Snapshots, load_config
from induction.errors import StudyError
from induction.model.transformer import Transformer, initialise
from induction.paths import find_study
from induction.train import loop
from induction.train.loop import Step, batches, loss_function, train
from induction.train.optimizer import make_optimizers
from induction.train.process_group import ProcessGroup
from induction.train.schedule import snapshot_steps, warmed_up
from induction.train.settings import train_settings

SETTINGS = load_config(find_study().params).train


def run(choice: str = "muon", steps: int = 30, **changes) -> tuple[Transformer, list[Step]]:
    model = Transformer(SPEC)
    initialise(model, 0, SETTINGS.embedding_std)
    curve: list[Step] = []
    settings = SETTINGS.model_copy(update={"warmup_steps": 5, **changes})
    optimizers = make_optimizers(model, choice, settings)
    data = batches(TOKENS, WINDOWS, 32, 4)
    train(model, optimizers, data, range(steps), settings, curve.extend)
    return model, curve


@pytest.mark.parametrize("choice", ["muon", "adamw"])
def test_training_lowers_the_loss_on_learnable_data(choice):
    model = Transformer(SPEC)
    initialise(model, 0, SETTINGS.embedding_std)
    cycle = np.tile(np.arange(64, dtype=np.uint16), 400)
    curve: list[Step] = []
    data = batches(cycle, np.arange(0, 20_000, 32), 32, 4)
    settings = SETTINGS.model_copy(update={"warmup_steps": 5})
    train(model, make_optimizers(model, choice, settings), data, range(40), settings, curve.extend)
    assert curve[0].loss == pytest.approx(np.log(64), abs=1e-3)
    assert curve[-1].loss < 1.0
    assert [step.step for step in curve] == list(range(1, 41))
    assert curve[-1].tokens == 40 * 4 * 32


def losses(**how) -> np.ndarray:
    """The curve of a run with such a loss function."""
    model = Transformer(SPEC)
    initialise(model, 0, SETTINGS.embedding_std)
    curve: list[Step] = []
    settings = SETTINGS.model_copy(update={"warmup_steps": 5})
    data = batches(TOKENS, WINDOWS, 32, 4)
    loss_of = loss_function(model, **how)
    optimizers = make_optimizers(model, "muon", settings)
    train(model, optimizers, data, range(30), settings, curve.extend, loss_of=loss_of)
    return np.array([step.loss for step in curve])


def test_bfloat16_changes_the_losses_by_its_rounding():
    plain, mixed = losses(), losses(dtype="bfloat16")
    assert np.abs(plain - mixed).max() < 0.05
    assert np.abs(plain - mixed).max() > 0


def test_a_compiled_loss_is_the_same(monkeypatch):
    """Traced whole, as for a GPU; without the C++ compiler behind it, which takes a minute."""
    compiler = functools.partial(torch.compile, backend="aot_eager", fullgraph=True)
    monkeypatch.setattr(torch, "compile", compiler)
    mixed, compiled = losses(dtype="bfloat16"), losses(dtype="bfloat16", compiled=True)
    assert np.abs(mixed - compiled).max() < 0.02


@pytest.mark.parametrize("every", [1, 7, 100])
def test_losses_that_are_read_late_are_all_there_and_stops_are_kept(every, monkeypatch):
    _, wanted = run()
    monkeypatch.setitem(loop._STEPS_PER_READ, "cpu", every)
    model = Transformer(SPEC)
    initialise(model, 0, SETTINGS.embedding_std)
    calls: list[list[Step]] = []
    settings = SETTINGS.model_copy(update={"warmup_steps": 5})
    optimizers = make_optimizers(model, "muon", settings)
    data = batches(TOKENS, WINDOWS, 32, 4)
    train(model, optimizers, data, range(30), settings, calls.append, stops={3, 12})
    assert [step for call in calls for step in call] == wanted
    assert {3, 12, 30} <= {call[-1].step for call in calls}
    assert max(map(len, calls)) <= every


def test_a_process_group_shares_every_batch():
    whole = next(batches(TOKENS, WINDOWS, 32, 4, first=2))
    parts = [next(batches(TOKENS, WINDOWS, 32, 4, 2, ProcessGroup(rank, 2))) for rank in range(2)]
    assert torch.equal(torch.cat(parts), whole)


def test_the_same_seed_gives_the_same_bits():
    (a, curve_a), (b, curve_b) = run(), run()
    assert curve_a == curve_b
    for x, y in zip(a.parameters(), b.parameters(), strict=True):
        assert torch.equal(x, y)


def test_another_seed_gives_another_model():
    a, b = Transformer(SPEC), Transformer(SPEC)
    initialise(a, 0, 1.0)
    initialise(b, 1, 1.0)
    assert not torch.equal(a.W_E, b.W_E)


def test_every_weight_is_trained_by_exactly_one_optimizer():
    model = Transformer(SPEC)
    for choice, kinds in (("muon", {"AdamW", "Muon"}), ("adamw", {"AdamW"})):
        optimizers = make_optimizers(model, choice, SETTINGS)
        assert {type(o).__name__ for o in optimizers} == kinds
        trained = [id(p) for o in optimizers for g in o.param_groups for p in g["params"]]
        assert sorted(trained) == sorted(id(p) for p in model.parameters())


def test_muon_takes_the_matrices_of_the_blocks_only():
    model = Transformer(SPEC)
    names = {id(p): name for name, p in model.named_parameters()}
    muon = make_optimizers(model, "muon", SETTINGS)[1]
    taken = {names[id(p)] for g in muon.param_groups for p in g["params"]}
    assert all(name.startswith("blocks.") and ".W_" in name for name in taken)
    assert len(taken) == 2 * 6


def test_a_loss_that_is_no_number_stops_training_with_a_way_out():
    with pytest.raises(StudyError, match=r"loss became (nan|inf) at step \d+: lower train\."):
        run(choice="adamw", steps=60, learning_rate=1e9, warmup_steps=0)


def test_batches_hold_each_window_once_in_the_given_order():
    data = list(itertools.islice(batches(TOKENS, WINDOWS, 32, 4), len(WINDOWS) // 4))
    rows = torch.cat(data).numpy()
    expected = np.stack([TOKENS[start : start + 33] for start in WINDOWS[: len(rows)]])
    assert np.array_equal(rows, expected)


def test_batches_begin_again_after_the_last_whole_one():
    whole = len(WINDOWS) // 4
    data = list(itertools.islice(batches(TOKENS, WINDOWS, 32, 4), whole + 1))
    assert torch.equal(data[0], data[whole])


@pytest.mark.parametrize("total", [1, 10, 3906])
def test_snapshots_include_the_first_and_last_step(total):
    steps = snapshot_steps(total, 2048, Snapshots(count=60, linear_until=400_000))
    assert steps[0] == 0
    assert steps[-1] == total
    assert len(steps) <= 60
    assert steps == sorted(set(steps))


def test_snapshots_are_spaced_evenly_at_first_and_logarithmically_later():
    steps = np.array(snapshot_steps(100_000, 1, Snapshots(count=200, linear_until=1000)))
    early, late = np.diff(steps[steps < 200]), np.diff(np.log(steps[steps > 30_000]))
    assert early.max() / early.min() < 1.5
    assert late.max() / late.min() < 1.1


def test_the_learning_rate_rises_and_stays():
    factors = [warmed_up(step, 4) for step in range(8)]
    assert factors == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0, 1.0])
    assert warmed_up(0, 0) == 1.0


def test_a_model_has_a_batch_and_rates_of_its_own():
    config = load_config(find_study().params)
    assert train_settings(config, "attn-2l") == config.train
    own = {"batch_tokens": 512, "rate_factor": 0.5, "learning_rate": 0.1}
    entry = config.models["attn-2l"].model_copy(update=own)
    found = train_settings(config.model_copy(update={"models": {"small": entry}}), "small")
    assert (found.batch_tokens, found.learning_rate) == (512, 0.05)
    assert found.muon_learning_rate == config.train.muon_learning_rate / 2
