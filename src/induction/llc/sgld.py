"""The local learning coefficient λ̂ of any loss, by stochastic gradient Langevin dynamics (SGLD).

Lau et al. 2023 (arXiv 2308.12108): λ̂ = nβ (E L(w) − L(w*)), where w is drawn near w* from the
density that goes with exp(−nβ L(w) − γ/2 |w − w*|²). For a loss that is quadratic in d directions
and flat in all others it comes to d/2; for degenerate minima to less.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from induction.config import Llc
from induction.errors import StudyError

Loss = Callable[[Tensor], Tensor]
"""A batch → the mean loss of the weights as they are now, in nats."""


@dataclass(frozen=True)
class Chain:
    """What one chain saw.

    rises: [draws], L(w) − L(w*) on the draw's own batch, in nats. loss: mean of L(w*) over these
    batches.
    """

    rises: np.ndarray
    loss: float

    def coefficient(self, n_beta: float) -> float:
        """λ̂, negative where the chain found lower losses than at its start."""
        return n_beta * float(self.rises.mean())


def run_chain(
    weights: Sequence[Tensor], loss: Loss, batches: Iterator[Tensor], settings: Llc, seed: int
) -> Chain:
    """Sample around the weights, which are moved in place and put back at the end.

    Each step is w ← w − ε/2 (nβ ∇L(w) + γ (w − w*)) + N(0, ε), with a batch and noise of its own.
    weights: leaves that ask for gradients, of any shapes. seed: of the noise.
    Raises StudyError when a loss is no finite number.
    """
    start = [weight.detach().clone() for weight in weights]
    random = torch.Generator().manual_seed(seed)
    rises, at_start = [], []
    try:
        for step in range(settings.burn_in + settings.draws):
            batch = next(batches)
            value = loss(batch)
            _check(value, step)
            gradients = torch.autograd.grad(value, weights)
            if step >= settings.burn_in:
                at_start.append(_loss_elsewhere(weights, start, loss, batch))
                rises.append(value.item() - at_start[-1])
            _move(weights, start, gradients, settings, random)
    finally:
        _put(weights, start)
    return Chain(np.array(rises), float(np.mean(at_start)))


def _check(value: Tensor, step: int) -> None:
    if not math.isfinite(value.item()):
        raise StudyError(
            f"llc.epsilon: the loss became {value.item()} at step {step + 1} of a chain: lower it, "
            "or raise llc.gamma"
        )


@torch.no_grad()
def _move(
    weights: Sequence[Tensor],
    start: Sequence[Tensor],
    gradients: Sequence[Tensor],
    settings: Llc,
    random: torch.Generator,
) -> None:
    for weight, centre, gradient in zip(weights, start, gradients, strict=True):
        pull = settings.n_beta * gradient + settings.gamma * (weight - centre)
        noise = torch.randn(weight.shape, generator=random, dtype=weight.dtype)
        weight.add_(pull, alpha=-settings.epsilon / 2)
        weight.add_(noise.to(weight.device), alpha=math.sqrt(settings.epsilon))


@torch.no_grad()
def _loss_elsewhere(
    weights: Sequence[Tensor], place: Sequence[Tensor], loss: Loss, batch: Tensor
) -> float:
    """The loss with the weights at another place. They come back to where they are."""
    here = [weight.clone() for weight in weights]
    _put(weights, place)
    value = loss(batch).item()
    _put(weights, here)
    return value


@torch.no_grad()
def _put(weights: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for weight, value in zip(weights, values, strict=True):
        weight.copy_(value)
