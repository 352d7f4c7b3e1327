"""The training loop: the same data in the same order for every model, snapshots on the way."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from induction.config import Train
from induction.errors import StudyError
from induction.model.kernels import mean_cross_entropy
from induction.model.transformer import Transformer
from induction.train.schedule import warmed_up


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
) -> Iterator[Tensor]:
    """Yield int64 batches [batch_size, n_ctx + 1] in the order of `window_starts`, for ever.

    After the last whole batch it begins again: whether data may repeat is checked beforehand.
    `first` is how many batches have been used already.
    """
    whole = len(window_starts) // batch_size
    span = np.arange(n_ctx + 1)
    for number in itertools.count(first):
        batch = number % whole
        starts = window_starts[batch * batch_size : (batch + 1) * batch_size]
        yield torch.from_numpy(train_tokens[starts[:, None] + span].astype(np.int64))


def train(
    model: Transformer,
    optimizers: Sequence[torch.optim.Optimizer],
    data: Iterator[Tensor],
    steps: range,
    settings: Train,
    after_step: Callable[[Step], None],
) -> None:
    """Train in place, calling `after_step` with each step.

    optimizers: with the base learning rate in each group. steps: counted from 0; a range that
    starts later goes on where an earlier call stopped, with data that does so too.
    Raises StudyError when the loss is no finite number.
    """
    device = model.W_E.device
    rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in optimizers]
    for step in steps:
        tokens_BT = next(data).to(device, non_blocking=True)
        factor = warmed_up(step, settings.warmup_steps)
        for optimizer, base in zip(optimizers, rates, strict=True):
            for group, rate in zip(optimizer.param_groups, base, strict=True):
                group["lr"] = rate * factor
        resid_BTD = model.residual(tokens_BT[:, :-1])
        loss = mean_cross_entropy(resid_BTD.flatten(0, 1), model.W_U, tokens_BT[:, 1:].flatten())
        loss.backward()
        value = loss.item()
        if not math.isfinite(value):
            raise StudyError(
                f"the loss became {value} at step {step + 1}: lower train.learning_rate or "
                "train.muon_learning_rate, or raise train.warmup_steps"
            )
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        seen = (step + 1) * tokens_BT[:, 1:].numel()
        after_step(Step(step + 1, seen, value, settings.learning_rate * factor))
