"""Weight circuits in small factors (Elhage et al. 2021): no vocabulary × vocabulary matrix.

In float64, so that small and zero can be told apart. Row vectors throughout: a head moves x to
x W_V W_O, and scores query x against key y with x W_Q (y W_K)ᵀ. Shape suffixes as in
transformer.py.
"""

import math

import torch
from torch import Tensor

from induction.model.interface import Measurable

_ZERO = 1e-10  # share of its factors' norms that rounding in float64 leaves of a zero product


def normalised_unembedding(model: Measurable) -> Tensor:
    """W_U with the final norm's centring and weights folded in, [D, V]; its scale is left out."""
    norm = model.norm(model.spec.n_layers)
    return norm.centre(norm.weight[:, None].double() * model.W_U.double(), dim=0)


def normalised_embedding(model: Measurable, layer: int) -> Tensor:
    """What the heads of a layer read when the stream is a token's embedding alone, [V, D]."""
    return model.norm(layer)(model.W_E.double())


def eigenvalue_score(*factors: Tensor) -> float:
    """Σ Re λ / Σ |λ| of a product of matrices, between −1 and 1; 0 where the product is zero.

    The first factor is [K, …], the last [K] wide: a V × V circuit has the eigenvalues of this K × K
    turn of it and zeros. 1 when all are positive: it raises what it reads (paper, Argument 5).
    """
    product = torch.linalg.multi_dot([factor.double() for factor in factors])
    if product.norm() <= _ZERO * math.prod(float(factor.norm()) for factor in factors):
        return 0.0
    eigenvalues = torch.linalg.eigvals(product.cpu())  # on a GPU some builds of PyTorch cannot
    return float(eigenvalues.real.sum() / eigenvalues.abs().sum())
