"""A causal language model of `transformers` as the study's measurements want a model.

Shape suffixes as in transformer.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from induction.errors import StudyError
from induction.external.attention import attend_here, called, current_call
from induction.external.configuration import spec_of
from induction.external.families import as_norm, family_of, no_norm
from induction.external.products import multiply_as_ours
from induction.model.hooks import Intervention, Record
from induction.model.interface import Norm


class AdaptedModel:
    """The adapter. Layers compute in the type of numbers that the model was loaded with;
    embeddings, matrices, patterns and the final residual stream come in float32.

    Raises StudyError for a family that is not known.
    """

    def __init__(self, model: PreTrainedModel):
        self._family = family_of(model.config.model_type)
        attend_here(model)
        multiply_as_ours(model)
        self._model = model.eval().requires_grad_(False)
        self._base: Any = model.base_model
        self._layers = getattr(self._base, self._family.layers)
        self.spec = spec_of(model.config)
        self.longest: int = model.config.max_position_embeddings
        unembedding: Any = model.get_output_embeddings()
        self.W_E: Tensor = self._base.get_input_embeddings().weight.float()
        self.W_U: Tensor = unembedding.weight.float().T
        for index, layer in enumerate(self._layers):
            layer.register_forward_pre_hook(_reads(index))

    @property
    def device(self) -> torch.device:
        return self._model.device

    def head_matrices(self, layer: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """W_Q, W_K, W_V as [H, D, K] and W_O as [H, K, D]; shared keys and values repeated."""
        W_Q, W_K, W_V, W_O = self._family.heads(self._layers[layer], self.spec.n_heads)
        return W_Q.float(), W_K.float(), W_V.float(), W_O.float()

    def norm(self, layer: int) -> Norm:
        """What stands before the heads of a layer; for n_layers, before the unembedding."""
        if layer == self.spec.n_layers:
            return as_norm(getattr(self._base, self._family.final_norm), self._family.centred)
        if self._family.norm is None:
            return no_norm(self.spec.d_model, self.device)
        return as_norm(getattr(self._layers[layer], self._family.norm), self._family.centred)

    @torch.no_grad()
    def residual(
        self,
        tokens_BT: Tensor,
        record: Record | None = None,
        intervene: Intervention | None = None,
    ) -> Tensor:
        """The normalised final residual stream, [B, T, D]: what the unembedding reads.

        Raises StudyError where it is not finite, as after an overflow in float16.
        """
        first = intervene.start[0] if intervene and intervene.start else 0
        with called(record, intervene), _without(self._layers, first, self._family.tuples):
            resid_BTD = self._base(tokens_BT, use_cache=False).last_hidden_state.float()
        if not torch.isfinite(resid_BTD).all():
            kind = str(self._model.dtype).removeprefix("torch.")
            raise StudyError(
                f"the model runs over in {kind}, to numbers that are not finite: give "
                "dtype: float32 or bfloat16"
            )
        return resid_BTD


def _reads(layer: int) -> Any:
    """A hook before a layer: the stream that it reads is recorded, or is the one given."""

    def hook(_: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        call = current_call()
        resid_BTD = arguments[0]
        if call.intervene and call.intervene.start and call.intervene.start[0] == layer:
            resid_BTD = call.intervene.start[1].to(resid_BTD.dtype)
        if call.record:
            call.record.put("resid_pre", layer, resid_BTD)
        return (resid_BTD, *arguments[1:])

    return hook


class _Skipped(nn.Module):
    """Stands where a layer is not run; hands back what such a layer does, a tuple or not."""

    def __init__(self, tuples: bool):
        super().__init__()
        self._tuples = tuples

    def forward(self, resid_BTD: Tensor, *_: Any, **__: Any) -> Tensor | tuple[Tensor]:
        return (resid_BTD,) if self._tuples else resid_BTD


@contextmanager
def _without(layers: Any, count: int, tuples: bool) -> Iterator[None]:
    """Leave the first `count` layers out; the others keep their places, on which masks depend."""
    kept = [layers[index] for index in range(count)]
    for index in range(count):
        layers[index] = _Skipped(tuples)
    try:
        yield
    finally:
        for index, layer in enumerate(kept):
            layers[index] = layer
