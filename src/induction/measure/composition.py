"""K-, Q- and V-composition between heads (Elhage et al. 2021; paper, Argument 5)."""

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
    tables = [pl.DataFrame(schema=_SCHEMA)]
    for layer in range(1, model.spec.n_layers):
        gain_D1 = model.norm(layer).weight[:, None]
        W_Q, W_K, W_V, W_O = model.head_matrices(layer)
        W_Q, W_K, W_V = gain_D1 * W_Q, gain_D1 * W_K, gain_D1 * W_V
        for below in range(layer):
            _, _, V_below, O_below = model.head_matrices(below)
            head, from_head = np.indices((model.spec.n_heads, model.spec.n_heads))
            columns = {
                "layer": np.full(head.size, layer),
                "head": head.ravel(),
                "from_layer": np.full(head.size, below),
                "from_head": from_head.ravel(),
                "k": _composition(V_below, O_below, W_K, W_Q.mT),
                "q": _composition(V_below, O_below, W_Q, W_K.mT),
                "v": _composition(V_below, O_below, W_V, W_O),
            }
            tables.append(pl.DataFrame(columns, schema=_SCHEMA, nan_to_null=True))
    return pl.concat(tables)


def _composition(
    first_in: Tensor, first_out: Tensor, then_in: Tensor, then_out: Tensor
) -> np.ndarray:
    """‖A B‖ / (‖A‖ ‖B‖) of A = first_in · first_out and B = then_in · then_out, all float64.

    Factors into a head are [H, D, K], those out of it [H, K, D]. Returns [H × H], later heads
    first; NaN for 0 / 0.
    """
    first_in, first_out = first_in.double(), first_out.double()
    then_in, then_out = then_in.double(), then_out.double()
    eye = torch.eye(first_in.shape[-1], dtype=first_in.dtype, device=first_in.device)
    together = _norm(first_in, first_out @ then_in[:, None], then_out[:, None])
    apart = _norm(then_in, eye, then_out)[:, None] * _norm(first_in, eye, first_out)
    return (together / apart).flatten().cpu().numpy()


def _norm(left: Tensor, middle: Tensor, right: Tensor) -> Tensor:
    """Frobenius norm of left · middle · right, [..., D, K] [..., K, K] [..., K, D], in K × K."""
    squared = ((left.mT @ left) @ middle * (middle @ (right @ right.mT))).sum(dim=(-2, -1))
    return squared.clamp(min=0).sqrt()
