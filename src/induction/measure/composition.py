"""K-, Q- and V-composition between heads (Elhage et al. 2021; paper, Argument 5)."""

from typing import NamedTuple

import numpy as np
import polars as pl
import torch
from torch import Tensor

from induction.model.interface import Measurable

_SCHEMA = {
    **dict.fromkeys(("layer", "head", "from_layer", "from_head"), pl.Int64),
    **dict.fromkeys(("k", "q", "v"), pl.Float64),
}


@torch.no_grad()
def measure(model: Measurable) -> pl.DataFrame:
    """How much each head reads of what each earlier head writes, from the weights alone.

    A row for each pair: layer, head, from_layer, from_head, and k, q, v: the Frobenius norm of the
    product of both heads' matrices over the product of their norms, between 0 and 1. Heads that
    ignore each other's subspaces score 0, random ones about 1 / √d_model. Null where a head's
    matrix is zero. The weights of the norm in between are folded into what the later head reads.
    """
    n_heads = model.spec.n_heads
    tables = [pl.DataFrame(schema=_SCHEMA)]
    below: list[_Writers] = []
    for layer in range(model.spec.n_layers):
        W_Q, W_K, W_V, W_O = (matrix.double() for matrix in model.head_matrices(layer))
        if layer:
            gain_D1 = model.norm(layer).weight[:, None].double()
            Q, K, V = gain_D1 * W_Q, gain_D1 * W_K, gain_D1 * W_V
            from_layer, head, from_head = np.indices((layer, n_heads, n_heads)).reshape(3, -1)
            columns = {
                "layer": np.full(head.size, layer),
                "head": head,
                "from_layer": from_layer,
                "from_head": from_head,
                "k": _compositions(below, K, Q.mT),
                "q": _compositions(below, Q, K.mT),
                "v": _compositions(below, V, W_O),
            }
            tables.append(pl.DataFrame(columns, schema=_SCHEMA, nan_to_null=True))
        below.append(_writers(W_V, W_O))
    return pl.concat(tables)


class _Writers(NamedTuple):
    """The heads of a layer as later ones read them, of A = W_V W_O: W_O as [H K, D], W_Vᵀ W_V as
    [H, K, K], and the Frobenius norm of A, [H]."""

    out: Tensor
    gram: Tensor
    norm: Tensor


def _writers(W_V: Tensor, W_O: Tensor) -> _Writers:
    gram = W_V.mT @ W_V
    return _Writers(W_O.flatten(0, 1), gram, _root((gram * (W_O @ W_O.mT)).sum(dim=(-2, -1))))


def _compositions(below: list[_Writers], then_in: Tensor, then_out: Tensor) -> np.ndarray:
    """‖A B‖ / (‖A‖ ‖B‖) of every A below and B = then_in · then_out, all float64.

    then_in is [H, D, K], then_out [H, K, D]: traces of products [K, K] give the norms. Returns
    [layers below × H later × H earlier], flat; NaN for 0 / 0.
    """
    K = then_in.shape[-1]
    right_HKK = then_out @ then_out.mT
    norm_H = _root(((then_in.mT @ then_in) * right_HKK).sum(dim=(-2, -1)))
    scores = []
    for writers in below:
        middle = (writers.out @ then_in).unflatten(1, (-1, K))  # [H later, H earlier, K, K]
        left = writers.gram @ middle
        squared = (left * (middle @ right_HKK[:, None])).sum(dim=(-2, -1))
        scores.append(_root(squared) / (norm_H[:, None] * writers.norm))
    return torch.stack(scores).flatten().cpu().numpy()


def _root(squared: Tensor) -> Tensor:
    return squared.clamp(min=0).sqrt()
