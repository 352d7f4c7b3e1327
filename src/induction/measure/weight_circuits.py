"""OV and QK circuits of every head, read off the weights (paper, Argument 5).

What is as long as the vocabulary is multiplied out once, into d_model × d_model matrices: the
embedding with itself and with the unembedding. Shape suffixes as in transformer.py.
"""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from induction.measure.circuits import eigenvalue_score, normalised_unembedding
from induction.model.interface import Measurable, Norm


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
    embedding_VC = _bare_embedding(model)
    gram_CC, logits_DC = embedding_VC.mT @ embedding_VC, W_U @ embedding_VC
    # What the heads below write for each token, with their scores as weights, is E times this.
    below_CD = torch.zeros_like(logits_DC.mT)
    for layer in range(spec.n_layers):
        W_Q, W_K, W_V, W_O = (matrix.double() for matrix in model.head_matrices(layer))
        norm = model.norm(layer)
        reads_CD = _weights(norm)  # E times this is what the layer reads of the embedding
        below_read_CD = norm.centre(below_CD, dim=-1) * norm.weight
        logits_DD, keys_DD = logits_DC @ reads_CD, below_read_CD.mT @ gram_CC @ reads_CD
        size, below_size = (_size(gram_CC, part) for part in (reads_CD, below_read_CD))
        for head in range(spec.n_heads):
            ov_size = float(W_O[head].norm() * W_U.norm() * W_V[head].norm()) * size
            ov[layer, head] = eigenvalue_score(W_O[head], logits_DD, W_V[head], size=ov_size)
            if layer:
                Q, K = W_Q[head], W_K[head]
                total = float(((K.mT @ keys_DD) * Q.mT).sum())
                trace[layer, head] = total / spec.d_vocab / spec.d_head**0.5
                qk_size = float(K.norm() * Q.norm()) * below_size * size
                eigenvalue[layer, head] = eigenvalue_score(K.mT, keys_DD, Q, size=qk_size)
        scores = torch.from_numpy(previous_token[layer]).to(W_V)
        below_CD = below_CD + reads_CD @ (scores[:, None, None] * (W_V @ W_O)).sum(dim=0)
    return {"ov_eigenvalue": ov, "qk_trace": trace, "qk_eigenvalue": eigenvalue}


def _bare_embedding(model: Measurable) -> Tensor:
    """E, [V, D + 1]: the embedding as the norms leave it before their weights, which alone tell the
    layers apart, and a column of ones, for their biases."""
    norm = model.norm(0)
    bare = replace(norm, weight=torch.ones_like(norm.weight), bias=None)
    embedding_VD = bare(model.W_E.double())
    return torch.cat([embedding_VD, torch.ones_like(embedding_VD[:, :1])], dim=1)


def _weights(norm: Norm) -> Tensor:
    """Weights and bias of a norm as one matrix, [D + 1, D], float64."""
    bias = torch.zeros_like(norm.weight) if norm.bias is None else norm.bias
    return torch.cat([norm.weight.diag(), bias[None]]).double()


def _size(gram_CC: Tensor, part_CD: Tensor) -> float:
    """Frobenius norm of E times a matrix."""
    return float((part_CD * (gram_CC @ part_CD)).sum().clamp(min=0).sqrt())
