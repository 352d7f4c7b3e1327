"""What a model offers to be measured and ablated: our own Transformer does, and every adapter.

Shape suffixes as in transformer.py.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from induction.model.hooks import Intervention, Record


@dataclass(frozen=True)
class Norm:
    """A normalisation in front of what reads the stream.

    weight, bias: [D]. centred: whether the mean over D is taken off (LayerNorm) or not (RMSNorm,
    which has no bias).
    """

    weight: Tensor
    bias: Tensor | None
    eps: float
    centred: bool

    def __call__(self, resid: Tensor) -> Tensor:
        """The normalised stream, [..., D], in the type of numbers that it comes in."""
        weight = self.weight.to(resid.dtype)
        if not self.centred:
            return F.rms_norm(resid, weight.shape, weight, self.eps)
        bias = None if self.bias is None else self.bias.to(resid.dtype)
        return F.layer_norm(resid, weight.shape, weight, bias, self.eps)

    def centre(self, x: Tensor, dim: int) -> Tensor:
        """What its centring alone makes of the dimension D of x."""
        return x - x.mean(dim=dim, keepdim=True) if self.centred else x


class Shape(Protocol):
    """The sizes of a model. n_heads counts the heads that attend, not shared keys and values."""

    @property
    def n_layers(self) -> int: ...
    @property
    def n_heads(self) -> int: ...
    @property
    def d_model(self) -> int: ...
    @property
    def d_head(self) -> int: ...
    @property
    def d_vocab(self) -> int: ...


class Measurable(Protocol):
    """A causal language model whose heads can be looked at, taken out and read off its weights."""

    @property
    def spec(self) -> Shape: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def W_E(self) -> Tensor:
        """The embedding of tokens, [V, D]."""
        ...

    @property
    def W_U(self) -> Tensor:
        """The unembedding, [D, V]."""
        ...

    def residual(
        self,
        tokens_BT: Tensor,
        record: Record | None = None,
        intervene: Intervention | None = None,
    ) -> Tensor:
        """The normalised final residual stream, [B, T, D]: what the unembedding reads."""
        ...

    def head_matrices(self, layer: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """W_Q, W_K, W_V as [H, D, K] and W_O as [H, K, D]; shared keys and values repeated."""
        ...

    def norm(self, layer: int) -> Norm:
        """What stands before the heads of a layer; for n_layers, before the unembedding."""
        ...
