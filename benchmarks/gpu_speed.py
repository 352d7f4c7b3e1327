"""Our speed on a GPU against a plain set-up's: `make bench DEVICE=cuda`.

The paper's small shape (two layers of 768 with 12 heads, a context of 1,024, a vocabulary of 2^15)
in bfloat16: our training loop in turns with a nanoGPT-like one, eager and compiled; its arithmetic
as a share of what bfloat16 matrix products reach on the same GPU; and the laptop study's shape
alone and as a stack of several models. Writes benchmarks/results-cuda.json and prints its table.
"""

import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from contenders import CONFIG, Plain
from flop import training_flop
from rich.console import Console
from speed import table
from stacked import Stack
from torch import Tensor

from induction.errors import StudyError
from induction.model.compute import mixed_precision, set_up_torch
from induction.model.transformer import Transformer, TransformerSpec, initialise
from induction.train.loop import loss_function, train
from induction.train.optimizer import make_optimizers

TARGET = Path(__file__).parent / "results-cuda.json"
TURNS = 5
STACKED = 8
PAPER = TransformerSpec(2, 768, 12, 3072, 1024, 2**15, True, False, 1000.0)
LAPTOP = TransformerSpec(2, 64, 4, 256, 256, 1024, True, False, 100.0)
Work = Callable[[], None]


@dataclass(frozen=True)
class Bench:
    """Where, in what precision and how much: windows in a batch, steps in a turn."""

    device: torch.device
    dtype: str = "bfloat16"
    windows: int = 32
    steps: int = 20
    product: int = 8192  # rows and columns of the matrices that the peak is measured with

    def tokens(self, spec: TransformerSpec) -> Tensor:
        random = torch.Generator().manual_seed(0)
        return torch.randint(spec.d_vocab, (self.windows, spec.n_ctx + 1), generator=random)

    def seconds(self, work: Work) -> float:
        """Of one turn, to the end of what the GPU was given."""
        self._wait()
        start = time.perf_counter()
        work()
        self._wait()
        return time.perf_counter() - start

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def made(spec: TransformerSpec, seed: int, device: torch.device) -> Transformer:
    model = Transformer(spec)
    initialise(model, seed, CONFIG.train.embedding_std)
    return model.to(device)


def ours(bench: Bench, spec: TransformerSpec, *, compiled: bool = True) -> Work:
    """A turn of the study's own loop, with its copies of batches and its reading of losses."""
    model = made(spec, 0, bench.device)
    optimizers = make_optimizers(model, "adamw", CONFIG.train)
    loss_of = loss_function(model, bench.dtype, compiled=compiled)
    data = itertools.repeat(bench.tokens(spec))
    return lambda: train(
        model,
        optimizers,
        data,
        range(bench.steps),
        CONFIG.train,
        lambda steps: None,
        loss_of=loss_of,
    )


def plain(bench: Bench, spec: TransformerSpec, *, compiled: bool) -> Work:
    """A turn of a loop as one writes it first, which reads no loss and copies no batch."""
    model: torch.nn.Module = Plain(spec).to(bench.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    run = torch.compile(model) if compiled else model
    tokens = bench.tokens(spec).to(bench.device)
    inputs, targets = tokens[:, :-1].contiguous(), tokens[:, 1:].flatten()

    def work() -> None:
        for _ in range(bench.steps):
            with mixed_precision(bench.device, bench.dtype):
                loss = run(inputs, targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return work


def stacked(bench: Bench, spec: TransformerSpec, count: int) -> Work:
    """A turn of several models at once."""
    stack = Stack([made(spec, seed, bench.device) for seed in range(count)])
    optimizer = torch.optim.AdamW(list(stack.weights.values()), lr=1e-3, fused=True)
    tokens = bench.tokens(spec).to(bench.device).expand(count, -1, -1)

    def work() -> None:
        for _ in range(bench.steps):
            with mixed_precision(bench.device, bench.dtype):
                losses = stack.losses(tokens)
            losses.sum().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return work


def products(bench: Bench) -> Work:
    dtype = getattr(torch, bench.dtype)
    a = torch.randn(bench.product, bench.product, device=bench.device).to(dtype)

    def work() -> None:
        for _ in range(bench.steps):
            torch.matmul(a, a)

    return work


Side = tuple[Work, float]
"""Work, and how much of what is measured a turn of it does."""


def in_turns(
    bench: Bench,
    what: str,
    peer: str,
    unit: str,
    first: Side,
    second: Side,
) -> dict[str, Any]:
    """A row: both works' amounts over their seconds, and the ratio of turns side by side."""
    for work, _ in (first, second):
        work()  # compiled, cached, warmed up
    rates = [
        [amount / bench.seconds(work) for work, amount in (first, second)] for _ in range(TURNS)
    ]
    ratios = sorted(a / b for a, b in rates)
    middle = [statistics.median(column) for column in zip(*rates, strict=True)]
    return {
        "what": what,
        "peer": peer,
        **{key: round(value, 1) for key, value in zip(("ours", "theirs"), middle, strict=True)},
        "unit": unit,
        "ratio": round(statistics.median(ratios), 2),
        "low": round(ratios[0], 2),
        "high": round(ratios[-1], 2),
    }


def rows(bench: Bench, paper: TransformerSpec = PAPER, laptop: TransformerSpec = LAPTOP):
    """Yield the benchmark's rows."""
    for label, attn_only in (("attention only", True), ("with MLP", False)):
        spec = replace(paper, attn_only=attn_only)
        tokens = bench.steps * bench.windows * spec.n_ctx
        our = ours(bench, spec)
        for peer, compiled in (("plain PyTorch, eager", False), ("plain PyTorch, compiled", True)):
            their = plain(bench, spec, compiled=compiled)
            what = f"training the paper's small shape, {label}"
            yield in_turns(bench, what, peer, "tokens/s", (our, tokens), (their, tokens))
        flop = training_flop(spec) * tokens / 1e12
        peak = 2 * bench.product**3 * bench.steps / 1e12
        what, peer = f"arithmetic of training, {label}", "bfloat16 matrix products of the same GPU"
        yield in_turns(bench, what, peer, "TFLOP/s", (our, flop), (products(bench), peak))
    small = replace(bench, windows=8)
    tokens = small.steps * small.windows * laptop.n_ctx
    many = (stacked(small, laptop, STACKED), STACKED * tokens)
    what = f"training {STACKED} models of the laptop's shape as a stack"
    one = (ours(small, laptop, compiled=False), tokens)
    yield in_turns(small, what, "one such model alone", "tokens/s", many, one)


def main() -> None:
    try:
        device = set_up_torch(CONFIG.compute.model_copy(update={"device": "cuda"}))
    except StudyError:
        sys.exit("make bench DEVICE=cuda: torch sees no GPU here")
    found = []
    for row in rows(Bench(device)):
        print(f"{row['what']}, against {row['peer']}: {row['ratio']}×", flush=True)
        found.append(row)
    machine = {"gpu": torch.cuda.get_device_name(device), "torch": str(torch.__version__)}
    TARGET.write_text(json.dumps({"machine": machine, "rows": found}, indent=2) + "\n")
    Console(width=150).print(table(found))


if __name__ == "__main__":
    main()
