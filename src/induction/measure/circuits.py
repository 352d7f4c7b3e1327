"""Weight circuits in small factors (Elhage et al. 2021): no vocabulary × vocabulary matrix.

In float64, so that small and zero can be told apart. Row vectors throughout: a head moves x to
x W_V W_O, and scores query x against key y with x W_Q (y W_K)ᵀ. Shape suffixes as in
transformer.py.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from induction.model.transformer import Attention, Transformer

_ZERO = 1e-10  # share of its factors' norms that rounding in float64 leaves of a zero product


def head_matrices(attention: Attention) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """W_Q, W_K, W_V as [H, D, K] and W_O as [H, K, D]."""

    def split(weight: Tensor) -> Tensor:
        return weight.unflatten(1, (attention.n_heads, -1)).transpose(0, 1)

    W_O = attention.W_O.unflatten(0, (attention.n_heads, -1))
    return split(attention.W_Q), split(attention.W_K), split(attention.W_V), W_O


def normalised_unembedding(model: Transformer) -> Tensor:
    """W_U with the final norm's centring and weights folded in, [D, V]; its scale is left out."""
    folded = model.ln_final.weight[:, None].double() * model.W_U.double()
    return folded - folded.mean(dim=0, keepdim=True)


def normalised_embedding(model: Transformer, layer: int) -> Tensor:
    """What the heads of a layer read when the stream is a token's embedding alone, [V, D]."""
    norm = model.blocks[layer].ln1
    weight, bias = norm.weight.double(), norm.bias.double()
    return F.layer_norm(model.W_E.double(), norm.normalized_shape, weight, bias, norm.eps)


def eigenvalue_score(*factors: Tensor) -> float:
    """Σ Re λ / Σ |λ| of a product of matrices, between −1 and 1; 0 where the product is zero.

    The first factor is [K, …], the last [K] wide: a V × V circuit has the eigenvalues of this K × K
    turn of it and zeros. 1 when all are positive: it raises what it reads (paper, Argument 5).
    """
    product = torch.linalg.multi_dot([factor.double() for factor in factors])
    if product.norm() <= _ZERO * math.prod(float(factor.norm()) for factor in factors):
        return 0.0
    eigenvalues = torch.linalg.eigvals(product)
    return float(eigenvalues.real.sum() / eigenvalues.abs().sum())
