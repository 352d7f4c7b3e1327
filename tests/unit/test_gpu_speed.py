"""The benchmark of a GPU, run on a CPU with tiny shapes: what it measures is what it says."""

from dataclasses import replace

import gpu_speed
import pytest
import torch
from gpu_speed import LAPTOP, PAPER, Bench, made
from stacked import Stack

from induction.train.loop import loss_function

TINY = replace(PAPER, d_model=32, n_heads=4, d_mlp=64, n_ctx=16, d_vocab=64)
CPU = torch.device("cpu")
# On a GPU it is not: attention there knows stacks.
SLOW_HERE = pytest.mark.filterwarnings("ignore:There is a performance drop")


def test_the_shape_is_the_papers_small_one():
    assert (PAPER.n_layers, PAPER.d_model, PAPER.n_heads) == (2, 768, 12)
    assert PAPER.n_ctx >= 1024
    assert PAPER.d_vocab >= 2**15


@SLOW_HERE
@pytest.mark.parametrize("smeared", [False, True])
@pytest.mark.parametrize("attn_only", [False, True])
def test_a_stack_trains_its_models_as_they_would_be_alone(attn_only, smeared):
    """In float64, which takes the operations that a GPU takes."""
    spec = replace(TINY, attn_only=attn_only, smeared_keys=smeared)
    tokens = torch.randint(spec.d_vocab, (3, 2, 17), generator=torch.Generator().manual_seed(1))
    alone = [made(spec, seed, CPU).double() for seed in range(3)]
    stack = Stack([made(spec, seed, CPU).double() for seed in range(3)])
    together = torch.optim.AdamW(list(stack.weights.values()), lr=1e-2)
    optimizers = [torch.optim.AdamW(model.parameters(), lr=1e-2) for model in alone]
    for _ in range(5):
        losses = stack.losses(tokens)
        losses.sum().backward()
        apart = [loss_function(model)(mine) for model, mine in zip(alone, tokens, strict=True)]
        assert torch.allclose(losses, torch.stack(apart), rtol=1e-10)
        for loss in apart:
            loss.backward()
        for optimizer in (together, *optimizers):
            optimizer.step()
            optimizer.zero_grad()
    for number, model in enumerate(alone):
        for name, weight in model.named_parameters():
            assert torch.allclose(stack.weights[name][number], weight, atol=1e-9), name


@SLOW_HERE
def test_every_row_is_measured_where_there_is_no_gpu(monkeypatch):
    """The rows of `make bench DEVICE=cuda` with the device forced to be a CPU."""
    monkeypatch.setattr(gpu_speed, "TURNS", 2)
    monkeypatch.setattr(torch, "compile", lambda work, **how: work)
    bench = Bench(CPU, windows=2, steps=2, product=64)
    found = list(gpu_speed.rows(bench, TINY, replace(LAPTOP, d_vocab=64, n_ctx=16)))
    assert len(found) == 7
    for row in found:
        assert row["low"] <= row["ratio"] <= row["high"]
        assert row["ratio"] > 0
    assert [row["unit"] for row in found].count("TFLOP/s") == 2


def test_without_a_gpu_it_is_one_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="torch sees no GPU here"):
        gpu_speed.main()
