"""Targets that the context lets a model copy (Şahin et al. 2025, arXiv 2511.05743)."""

from torch import Tensor


def copyable(tokens_BT: Tensor) -> Tensor:
    """Whether the pair of a target and the token before it stood earlier in its window.

    tokens: windows [B, T + 1]. The answer is for their targets, bool [B, T]: index i is that of
    token i + 1.
    """
    first, second = tokens_BT[:, :-1], tokens_BT[:, 1:]
    alike_BTT = (first[:, :, None] == first[:, None]) & (second[:, :, None] == second[:, None])
    return alike_BTT.tril_(diagonal=-1).any(dim=-1)
