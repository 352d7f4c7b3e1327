"""Smeared keys: how much of a key is that of its own position (paper, Argument 2)."""

import numpy as np
import torch

from induction.evaluation.evaluation_set import EvaluationSet
from induction.model.interface import Measurable
from induction.model.transformer import Transformer


@torch.no_grad()
def measure(model: Measurable, _evaluation: EvaluationSet) -> dict[str, np.ndarray]:
    """Returns {"own_key_share": [n_layers, n_heads]}, σ(α) of each head; NaN where keys are plain.

    1: the key of the position alone; 0: that of the position before alone, which does for the head
    what a previous-token head would.
    """
    shares = np.full((model.spec.n_layers, model.spec.n_heads), np.nan)
    if isinstance(model, Transformer):
        for layer, block in enumerate(model.blocks):
            if block.attn.smear is not None:
                shares[layer] = torch.sigmoid(block.attn.smear).double().cpu().numpy()
    return {"own_key_share": shares}
