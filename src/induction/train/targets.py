"""Which targets a model learns from (Şahin et al. 2025, arXiv 2511.05743, "Hapax").

A model that never learns from a target that its context lets it copy has no use for copying. The
control leaves out as many targets of each window, at random.
"""

import zlib
from collections.abc import Callable

import torch
from torch import Tensor

from induction.data.copyable import copyable

Targets = Callable[[Tensor], Tensor]
"""Windows [B, T + 1] → whether each target counts, bool [B, T]."""


def targets(choice: str, seed: int) -> Targets | None:
    """The targets of `trained_on` in params.yaml; None for all of them. seed: of random ones."""
    if choice == "uncopyable":
        return lambda tokens_BT: ~copyable(tokens_BT)
    if choice == "random":
        return lambda tokens_BT: _as_many(tokens_BT, seed)
    return None


def _as_many(tokens_BT: Tensor, seed: int) -> Tensor:
    """As many targets of each window as are not copyable, drawn by the window and the seed alone:
    so a training that is resumed, or shared by several processes, draws the same."""
    chances = []
    for window in tokens_BT.cpu():
        drawn = torch.Generator().manual_seed(zlib.crc32(window.numpy().tobytes(), seed % 2**32))
        chances.append(torch.rand(len(window) - 1, generator=drawn))
    rank_BT = torch.stack(chances).argsort(dim=1).argsort(dim=1).to(tokens_BT.device)
    return rank_BT >= copyable(tokens_BT).sum(dim=1, keepdim=True)
