"""A model with the outputs of some of its heads scaled while it runs.

Shape suffixes as in transformer.py.
"""

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor

from induction.behave.conditions import by_layer
from induction.model.hooks import Intervention, Record
from induction.model.interface import Measurable, Norm, Shape
from induction.rules.head_kinds import Head

_UNCHANGED = Intervention()


class ScaledHeads:
    """A model, ours or not, in which every z of the chosen heads is multiplied by `factor`.

    It is Measurable itself, so whatever can be asked of a model can be asked of it: 0 is the zero
    ablation of the heads, 1 the model as it is, bit for bit in float32.
    """

    def __init__(self, model: Measurable, heads: Collection[Head], factor: float) -> None:
        self._model = model
        self._factors_H = {
            layer: torch.where(chosen_H, factor, 1.0)
            for layer, chosen_H in by_layer(heads, model.spec, model.device).items()
        }

    @property
    def spec(self) -> Shape:
        return self._model.spec

    @property
    def device(self) -> torch.device:
        return self._model.device

    @property
    def W_E(self) -> Tensor:
        return self._model.W_E

    @property
    def W_U(self) -> Tensor:
        return self._model.W_U

    def residual(
        self,
        tokens_BT: Tensor,
        record: Record | None = None,
        intervene: Intervention | None = None,
    ) -> Tensor:
        """The normalised final residual stream, [B, T, D]; what is recorded of z is not scaled."""
        # An intervention even where nothing is scaled: in half precision, models of others take
        # another way through attention without one.
        asked = intervene or _UNCHANGED
        scale = dict(asked.head_scale)
        for layer, factors_H in self._factors_H.items():
            scale[layer] = scale[layer] * factors_H if layer in scale else factors_H
        return self._model.residual(tokens_BT, record, replace(asked, head_scale=scale))

    def head_matrices(self, layer: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As the model's, with what the scaling comes to in W_O."""
        W_Q, W_K, W_V, W_O = self._model.head_matrices(layer)
        if layer in self._factors_H:
            W_O = W_O * self._factors_H[layer][:, None, None]
        return W_Q, W_K, W_V, W_O

    def norm(self, layer: int) -> Norm:
        return self._model.norm(layer)
