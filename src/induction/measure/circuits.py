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


def eigenvalue_score(*factors: Tensor, size: float | None = None) -> float:
    """Σ Re λ / Σ |λ| of a product of matrices, between −1 and 1; 0 where the product is zero.

    The first factor is [K, …], the last [K] wide: a V × V circuit has the eigenvalues of this K × K
    turn of it and zeros. 1 when all are positive: it raises what it reads (paper, Argument 5).
    size: what rounding is told by: the product of the norms of all that was multiplied, if that is
    more than these factors.
    """
    product = torch.linalg.multi_dot([factor.double() for factor in factors])
    if size is None:
        size = math.prod(float(factor.norm()) for factor in factors)
    if product.norm() <= _ZERO * size:
        return 0.0
    eigenvalues = torch.linalg.eigvals(product.cpu())  # on a GPU some builds of PyTorch cannot
    return float(eigenvalues.real.sum() / eigenvalues.abs().sum())
