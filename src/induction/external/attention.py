"""The one place where all families attend: queries and keys after their rotation, values, and out
of it what the output projection reads.

`transformers` lets a model be loaded with an attention function by name. This one fills a Record
and obeys an Intervention, and is plain causal attention for calls with neither. GPT-Neo has a
table of attention modules instead, into which one goes that calls the function. Shape suffixes as
in transformer.py.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import sdpa_mask
from transformers.models.gpt_neo.modeling_gpt_neo import (
    GPT_NEO_ATTENTION_CLASSES,
    GPTNeoPreTrainedModel,
    GPTNeoSelfAttention,
)

from induction.model.hooks import Intervention, Record

NAME = "induction"


@dataclass(frozen=True)
class Call:
    """What one forward pass is asked for."""

    record: Record | None = None
    intervene: Intervention | None = None


_PLAIN = Call()
_CALL: ContextVar[Call] = ContextVar("call", default=_PLAIN)


def current_call() -> Call:
    return _CALL.get()


@contextmanager
def called(record: Record | None, intervene: Intervention | None) -> Iterator[None]:
    """Have every layer that runs in the block fill `record` and obey `intervene`."""
    token = _CALL.set(Call(record, intervene))
    try:
        yield
    finally:
        _CALL.reset(token)


def attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Head outputs as [B, T, H, K]; keys and values may be of fewer heads than queries.

    attention_mask: true where a query may attend, [B or 1, 1, T, T]; None for all up to itself.
    """
    call, layer = _CALL.get(), module.layer_idx
    groups = query.shape[1] // key.shape[1]
    k, v = (x.repeat_interleave(groups, dim=1) if groups > 1 else x for x in (key, value))
    z = call.intervene.z.get(layer) if call.intervene else None
    if z is None:
        z = _z(call, layer, query, k, v, attention_mask, scaling)
    if call.record:
        call.record.put("z", layer, z)
    if call.intervene:
        z = call.intervene.head_output(layer, z)
    return z.to(value.dtype).transpose(1, 2).contiguous(), None


def _z(
    call: Call,
    layer: int,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None,
    scaling: float | None,
) -> Tensor:
    record, intervene = call.record, call.intervene
    pattern = intervene.patterns.get(layer) if intervene else None
    if pattern is None:
        # A run with an intervention is set beside one that records patterns: in half precision
        # both take the same way.
        same = intervene is None or (
            q.dtype == torch.float32 and not intervene.attends_otherwise(layer)
        )
        if same and (record is None or not record.wants("pattern", layer)):
            return F.scaled_dot_product_attention(
                q, k, v, attn_mask=mask, is_causal=mask is None, scale=scaling
            )
        pattern = _pattern(q, k, mask, scaling)
    if intervene:
        pattern = intervene.pattern(layer, pattern)
    if record:
        record.put("pattern", layer, pattern)
    return (pattern @ v.float()).to(v.dtype)


def _pattern(q: Tensor, k: Tensor, mask: Tensor | None, scaling: float | None) -> Tensor:
    """Attention probabilities in float32, [B, H, T query, T key].

    So are the scores: half precision holds too few digits of them, and float16 none above 65,504.
    """
    n = q.shape[2]
    scores = (q.float() * (q.shape[-1] ** -0.5 if scaling is None else scaling)) @ k.float().mT
    if mask is None:
        mask = torch.ones(n, n, dtype=torch.bool, device=scores.device).tril()
    return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)


class _GPTNeoAttention(GPTNeoSelfAttention):
    """GPT-Neo's: no scaling of scores, and a mask of its own that knows local windows."""

    def _attn(
        self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        self.layer_idx = self.layer_id
        n = query.shape[-2]
        z, pattern = attend(self, query, key, value, self.bias[:, :, :n, :n], scaling=1.0)
        return z.transpose(1, 2), pattern


def attend_here(model: PreTrainedModel) -> None:
    """Have all layers of a model attend by this module's function, however it was loaded."""
    if not isinstance(model, GPTNeoPreTrainedModel):
        model.set_attn_implementation(NAME)
    for module in model.modules():
        if isinstance(module, GPTNeoSelfAttention):
            module.__class__ = _GPTNeoAttention  # the same parts, another way through them


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
GPT_NEO_ATTENTION_CLASSES[NAME] = _GPTNeoAttention
