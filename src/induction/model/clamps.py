"""Heads that are made to attend somewhere from the start (Singh et al. 2024, arXiv 2404.07129).

A clamp takes a part of the induction circuit out of what training has to find: with a head that
attends to the token before from the first step on, only the rest has to form. The other heads, and
the values and outputs of the clamped one, are learned as ever.
"""

from dataclasses import replace

import torch
from torch import Tensor

from induction.model.hooks import Intervention

PREVIOUS_LAYER, INDUCTION_LAYER = 0, 1


def clamped(
    kind: str, n_layers: int, tokens_BT: Tensor, intervene: Intervention | None
) -> Intervention | None:
    """An intervention with the clamps of a model added, for the tokens that it reads.

    kind: `previous-token` and `induction` clamp the first head of the first and of the second
    layer, `both` does both, `forbidden` keeps all heads from attending where a prefix match points,
    and `none` does nothing.
    """
    if kind == "none":
        return intervene
    intervene = intervene or Intervention()
    if kind == "forbidden":
        targets_B1TT = induction_targets(tokens_BT)[:, None]
        blocked = {
            layer: intervene.blocked[layer] | targets_B1TT
            if layer in intervene.blocked
            else targets_B1TT
            for layer in range(n_layers)
        }
        return replace(intervene, blocked=blocked)
    patterns = {}
    if kind in ("previous-token", "both"):
        patterns[PREVIOUS_LAYER] = previous_token_pattern(tokens_BT)
    if kind in ("induction", "both"):
        patterns[INDUCTION_LAYER] = induction_pattern(tokens_BT)
    return replace(intervene, first_head=patterns)


def previous_token_pattern(tokens_BT: Tensor) -> Tensor:
    """All attention on the token before, [B, T, T]; that of the first token on itself."""
    B, T = tokens_BT.shape
    before = torch.arange(-1, T - 1, device=tokens_BT.device).clamp(min=0)
    return torch.nn.functional.one_hot(before, T).float().expand(B, T, T)


def induction_pattern(tokens_BT: Tensor) -> Tensor:
    """Attention spread evenly over the induction targets, [B, T query, T key]; where there are
    none, all of it on the first token."""
    pattern_BTT = induction_targets(tokens_BT).float()
    none_BT = ~pattern_BTT.any(dim=-1)
    pattern_BTT[..., 0] += none_BT
    return pattern_BTT / pattern_BTT.sum(dim=-1, keepdim=True)


def induction_targets(tokens_BT: Tensor) -> Tensor:
    """Where a prefix match points: true at the keys behind earlier copies of the query's token,
    bool [B, T query, T key]."""
    T = tokens_BT.shape[1]
    targets_BTT = torch.zeros(*tokens_BT.shape, T, dtype=torch.bool, device=tokens_BT.device)
    targets_BTT[:, :, 1:] = tokens_BT[:, :, None] == tokens_BT[:, None, :-1]
    return targets_BTT.tril_()
