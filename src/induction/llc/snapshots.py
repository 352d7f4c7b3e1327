"""Chains around one snapshot of a model, on windows of the training text."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from induction.config import Llc
from induction.llc.sgld import Loss, run_chain
from induction.model.kernels import cross_entropies, mean_cross_entropy
from induction.model.transformer import Transformer
from induction.progress import Tell


def coefficients(
    model: Transformer, train: np.ndarray, settings: Llc, step: int, tell: Tell
) -> dict[str, np.ndarray]:
    """λ̂ by every chain, which has windows and noise of its own.

    train: token stream, [tokens]. step: of the snapshot, from which the chains' seeds are drawn.
    Gives llc: [chains]; loss: [chains], of the snapshot on the windows of each chain's draws, in
    nats a token; rises: [chains, draws], how much higher the loss of each draw is.
    Raises StudyError when a chain leaves all bounds.
    """
    weights = list(model.requires_grad_(True).parameters())
    chains = []
    for number in range(settings.chains):
        seeds = np.random.SeedSequence((settings.seed, step, number)).generate_state(2, np.uint64)
        batches = _batches(train, model.spec.n_ctx, settings.batch, int(seeds[0]), model.device)
        chains.append(run_chain(weights, loss_of(model), batches, settings, int(seeds[1])))
        tell((number + 1) / settings.chains)
    return {
        "llc": np.array([chain.coefficient(settings.n_beta) for chain in chains]),
        "loss": np.array([chain.loss for chain in chains]),
        "rises": np.stack([chain.rises for chain in chains]),
    }


def loss_of(model: Transformer) -> Loss:
    """Mean loss of predicting each token of windows [B, n_ctx + 1] from those before it."""

    def loss(tokens_BT: Tensor) -> Tensor:
        resid_ND = model.residual(tokens_BT[:, :-1]).flatten(0, 1)
        targets_N = tokens_BT[:, 1:].flatten()
        if torch.is_grad_enabled():
            return mean_cross_entropy(resid_ND, model.W_U, targets_N)
        return cross_entropies(resid_ND, model.W_U, targets_N).mean()  # in half the time

    return loss


def _batches(
    train: np.ndarray, n_ctx: int, size: int, seed: int, device: torch.device
) -> Iterator[Tensor]:
    """Random windows of the stream, int64 [size, n_ctx + 1], for ever."""
    random, span = np.random.default_rng(seed), np.arange(n_ctx + 1)
    while True:
        starts = random.integers(len(train) - n_ctx, size=size)
        yield torch.from_numpy(train[starts[:, None] + span].astype(np.int64)).to(device)
