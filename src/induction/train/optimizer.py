"""Which weights are trained by what: Muon for matrices, AdamW for the rest or for everything."""

import torch
from torch import nn

from induction.config import Train
from induction.train.muon import Muon


def make_optimizers(model: nn.Module, choice: str, settings: Train) -> list[torch.optim.Optimizer]:
    """The optimisers of one model; `choice` is "muon" or "adamw".

    Muon (Jordan et al. 2024) takes the matrices inside the blocks; AdamW takes embedding,
    unembedding, norms and smearing scalars, and with "adamw" the matrices too.
    """
    matrices, rest = [], []
    for name, weight in model.named_parameters():
        in_block = name.startswith("blocks.") and weight.ndim == 2
        (matrices if choice == "muon" and in_block else rest).append(weight)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(
            rest,
            lr=settings.learning_rate,
            betas=settings.adam_betas,
            weight_decay=settings.weight_decay,
            fused=True,
        )
    ]
    if matrices:
        optimizers.append(
            Muon(
                matrices,
                lr=settings.muon_learning_rate,
                momentum=settings.muon_momentum,
                weight_decay=settings.weight_decay,
            )
        )
    return optimizers
