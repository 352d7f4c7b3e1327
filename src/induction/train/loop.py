"""The training loop: the same data in the same order for every model, snapshots on the way."""

import itertools
import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from induction.config import Train
from induction.errors import StudyError
from induction.model.compute import mixed_precision
from induction.model.kernels import mean_cross_entropy
from induction.model.transformer import Transformer
from induction.train.process_group import ALONE, ProcessGroup
from induction.train.repeats import Repeats
from induction.train.schedule import warmed_up
from induction.train.targets import Targets

# A GPU works ahead of the program, which waits for it only when it reads a number.
_STEPS_PER_READ = {"cpu": 1, "cuda": 20}


@dataclass(frozen=True)
class Step:
    """One row of train.csv: the loss (nats a token) of the batch that this step learned from."""

    step: int
    tokens: int
    loss: float
    learning_rate: float


def batches(
    train_tokens: np.ndarray,
    window_starts: np.ndarray,
    n_ctx: int,
    batch_size: int,
    first: int = 0,
    processes: ProcessGroup = ALONE,
    repeats: Repeats | None = None,
) -> Iterator[Tensor]:
    """Yield int64 batches [batch_size, n_ctx + 1] in the order of `window_starts`, for ever.

    After the last whole batch it begins again: whether data may repeat is checked beforehand.
    `first` is how many batches have been used already. A process of a group gets its share of the
    rows, [batch_size / processes.size, n_ctx + 1]. repeats: segments to write into them.
    """
    whole = len(window_starts) // batch_size
    span = np.arange(n_ctx + 1)
    share = batch_size // processes.size
    for number in itertools.count(first):
        own = processes.rank * share
        begin = number % whole * batch_size + own
        starts = window_starts[begin : begin + share]
        tokens_BT = train_tokens[starts[:, None] + span].astype(np.int64)
        if repeats:
            tokens_BT = repeats.write(tokens_BT, number, own, batch_size)
        yield torch.from_numpy(tokens_BT)


LossFunction = Callable[[Tensor], Tensor]
"""A batch of tokens [B, T + 1] → the mean loss of predicting each from those before it."""


def loss_function(
    model: Transformer,
    dtype: str = "float32",
    *,
    compiled: bool = False,
    targets: Targets | None = None,
) -> LossFunction:
    """The loss to train on, with matrix products of `dtype`, fused by torch.compile if asked.

    targets: which of them count; all without it.
    """

    def loss_of(tokens_BT: Tensor) -> Tensor:
        resid_ND = model.residual(tokens_BT[:, :-1]).flatten(0, 1)
        targets_N = tokens_BT[:, 1:].flatten()
        if targets:
            counts_N = targets(tokens_BT).flatten()
            resid_ND, targets_N = resid_ND[counts_N], targets_N[counts_N]
        return mean_cross_entropy(resid_ND, model.W_U, targets_N)

    run = torch.compile(loss_of, dynamic=False) if compiled else loss_of
    if dtype == "float32":
        return run

    def mixed(tokens_BT: Tensor) -> Tensor:
        with mixed_precision(tokens_BT.device, dtype):
            return run(tokens_BT)

    return mixed


def train(
    model: Transformer,
    optimizers: Sequence[torch.optim.Optimizer],
    data: Iterator[Tensor],
    steps: range,
    settings: Train,
    after_steps: Callable[[list[Step]], None],
    *,
    loss_of: LossFunction | None = None,
    stops: Collection[int] = (),
    processes: ProcessGroup = ALONE,
) -> None:
    """Train in place, calling `after_steps` with the steps since its last call, ascending.

    It is called at every step on a CPU and now and then on a GPU, but always after the last step
    and those of `stops`; the model is then as after the last step that it is called with.
    optimizers: with the base learning rate in each group. steps: counted from 0; a range that
    starts later goes on where an earlier call stopped, with data that does so too. loss_of: that of
    `loss_function(model)` unless given.
    Raises StudyError when a loss is no finite number.
    """
    device = model.W_E.device
    every = _STEPS_PER_READ[device.type]
    loss_of = loss_of or loss_function(model)
    weights = list(model.parameters())
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    waiting: list[tuple[int, Tensor]] = []
    for step in steps:
        tokens_BT = _moved(next(data), device)
        factor = warmed_up(step, settings.warmup_steps)
        for optimizer, base in zip(optimizers, rates, strict=True):
            for group, rate in zip(optimizer.param_groups, base, strict=True):
                group["lr"] = rate * factor
        loss = loss_of(tokens_BT)
        loss.backward()
        waiting.append((step, processes.average(weights, loss.detach())))
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        if len(waiting) >= every or step + 1 in stops or step == steps[-1]:
            batch_tokens = tokens_BT[:, 1:].numel() * processes.size
            after_steps(_read(waiting, batch_tokens, settings))
            waiting.clear()


def _read(waiting: Sequence[tuple[int, Tensor]], batch_tokens: int, settings: Train) -> list[Step]:
    """The steps whose losses lie on the device. StudyError when one is no finite number."""
    found = []
    losses = torch.stack([loss for _, loss in waiting]).tolist()
    for (step, _), loss in zip(waiting, losses, strict=True):
        if not math.isfinite(loss):
            raise StudyError(
                f"the loss became {loss} at step {step + 1}: lower train.learning_rate or "
                "train.muon_learning_rate, or raise train.warmup_steps"
            )
        rate = settings.learning_rate * warmed_up(step, settings.warmup_steps)
        found.append(Step(step + 1, (step + 1) * batch_tokens, loss, rate))
    return found


def _moved(tokens_BT: Tensor, device: torch.device) -> Tensor:
    if device.type == "cpu":
        return tokens_BT
    # From memory that the system never moves, so that the copy runs beside the last step.
    return tokens_BT.pin_memory().to(device, non_blocking=True)
