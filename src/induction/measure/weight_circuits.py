"""OV and QK circuits of every head, read off the weights (paper, Argument 5)."""

import numpy as np
import torch

from induction.measure.circuits import (
    eigenvalue_score,
    normalised_embedding,
    normalised_unembedding,
)
from induction.model.interface import Measurable


@torch.no_grad()
def measure(model: Measurable, previous_token: np.ndarray) -> dict[str, np.ndarray]:
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
    # What the heads below a layer write for each token, with their scores as weights.
    below_VD = torch.zeros_like(model.W_E, dtype=torch.float64)
    for layer in range(spec.n_layers):
        W_Q, W_K, W_V, W_O = model.head_matrices(layer)
        embedding_VD = normalised_embedding(model, layer)
        norm = model.norm(layer)
        read_VD = norm.centre(below_VD, dim=-1) * norm.weight
        for head in range(spec.n_heads):
            ov[layer, head] = eigenvalue_score(W_O[head], W_U, embedding_VD, W_V[head])
            if layer:
                Q, K = W_Q[head].double(), W_K[head].double()
                mean_score = ((embedding_VD @ Q) * (read_VD @ K)).sum(dim=1).mean()
                trace[layer, head] = float(mean_score) / spec.d_head**0.5
                eigenvalue[layer, head] = eigenvalue_score(K.T, read_VD.T, embedding_VD, Q)
        for head in range(spec.n_heads):
            written_VD = embedding_VD @ W_V[head].double() @ W_O[head].double()
            below_VD += float(previous_token[layer, head]) * written_VD
    return {"ov_eigenvalue": ov, "qk_trace": trace, "qk_eigenvalue": eigenvalue}
