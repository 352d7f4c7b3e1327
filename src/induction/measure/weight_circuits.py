"""OV and QK circuits of every head, read off the weights (paper, Argument 5)."""

import numpy as np
import torch
from torch import Tensor

from induction.measure.circuits import (
    eigenvalue_score,
    head_matrices,
    normalised_embedding,
    normalised_unembedding,
)
from induction.model.transformer import Transformer


@torch.no_grad()
def measure(model: Transformer, previous_token: np.ndarray) -> dict[str, np.ndarray]:
    """Three [n_layers, n_heads] arrays from one of previous-token scores; norms are folded in.

    "ov_eigenvalue": Σ Re λ / Σ |λ| of the full OV circuit from token to logits, as its d_head ×
    d_head form has the same eigenvalues. Positive: copying.

    "qk_trace", "qk_eigenvalue": of the full QK circuit from query token to key token, where the
    key reads what earlier heads wrote for a token, summed over these heads with their
    previous-token scores as weights. The trace is divided by d_vocab and √d_head: the mean
    attention score of a token to the place after its own copy. NaN in the first layer, where there
    are no earlier heads.
    """
    spec = model.spec
    shape = (spec.n_layers, spec.n_heads)
    ov, trace, eigenvalue = (np.full(shape, np.nan) for _ in range(3))
    W_U = normalised_unembedding(model)
    for layer in range(spec.n_layers):
        W_Q, W_K, W_V, W_O = head_matrices(model.blocks[layer].attn)
        embedding_VD = normalised_embedding(model, layer)
        written_VD = _written_by_earlier_heads(model, layer, previous_token)
        for head in range(spec.n_heads):
            ov[layer, head] = eigenvalue_score(W_O[head], W_U, embedding_VD, W_V[head])
            if layer:
                Q, K = W_Q[head].double(), W_K[head].double()
                mean_score = ((embedding_VD @ Q) * (written_VD @ K)).sum(dim=1).mean()
                trace[layer, head] = float(mean_score) / spec.d_head**0.5
                eigenvalue[layer, head] = eigenvalue_score(K.T, written_VD.T, embedding_VD, Q)
    return {"ov_eigenvalue": ov, "qk_trace": trace, "qk_eigenvalue": eigenvalue}


def _written_by_earlier_heads(model: Transformer, layer: int, weights: np.ndarray) -> Tensor:
    """What the heads below a layer write for each token, weighted and normalised, [V, D]."""
    total_VD = torch.zeros_like(model.W_E, dtype=torch.float64)
    for below in range(layer):
        _, _, W_V, W_O = head_matrices(model.blocks[below].attn)
        embedding_VD = normalised_embedding(model, below)
        for head in range(model.spec.n_heads):
            written_VD = embedding_VD @ W_V[head].double() @ W_O[head].double()
            total_VD += float(weights[below, head]) * written_VD
    norm = model.blocks[layer].ln1
    return (total_VD - total_VD.mean(dim=-1, keepdim=True)) * norm.weight
