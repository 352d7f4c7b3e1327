"""Where each family of models keeps what the study asks of it.

Biases are left out of the matrices of heads: a bias adds the same for every token, and circuits
are about what differs between tokens. Positions are left out too: queries and keys meet as at
distance 0. Of a norm inside a head or after it, the weights are folded in and the scale, which
depends on what it is given, is left out. left_out.py says it of each family. Shape suffixes as in
transformer.py.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from induction.errors import StudyError
from induction.model.interface import Norm

Matrices = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Family:
    """Names of a family's parts. heads: W_Q, W_K, W_V [H, D, K] and W_O [H, K, D] of a layer, with
    shared keys and values repeated. layers, final_norm: parts of the base model; norm: part of a
    layer, before its heads; None where they read the stream as it is. centred: LayerNorm, not
    RMSNorm. tuples: whether a layer hands back a tuple that begins with the stream."""

    layers: str
    norm: str | None
    final_norm: str
    centred: bool
    heads: Callable[[nn.Module, int], Matrices]
    tuples: bool = False


class NoNorm(Norm):
    """Stands where a family has no norm: the stream, [..., D], is read as it is."""

    def __call__(self, resid: Tensor) -> Tensor:
        return resid


def no_norm(d_model: int, device: torch.device) -> Norm:
    return NoNorm(torch.ones(d_model, device=device), None, 0.0, centred=False)


def family_of(model_type: object) -> Family:
    """The family that a configuration names; StudyError lists those that are known."""
    if model_type not in FAMILIES:
        raise StudyError(f"a model of the family {model_type}: known: {', '.join(FAMILIES)}")
    return FAMILIES[str(model_type)]


def as_norm(module: Any, centred: bool) -> Norm:
    eps = module.eps if centred else module.variance_epsilon
    return Norm(module.weight, module.bias if centred else None, eps, centred)


def _gpt_neox(layer: Any, n_heads: int) -> Matrices:
    """Queries, keys and values of each head lie together in one matrix."""
    attention = layer.attention
    fused = attention.query_key_value.weight.unflatten(0, (n_heads, 3, -1))
    W_Q, W_K, W_V = (fused[:, part].mT for part in range(3))
    return W_Q, W_K, W_V, attention.dense.weight.mT.unflatten(0, (n_heads, -1))


def _gpt2(layer: Any, n_heads: int) -> Matrices:
    """One matrix, turned as ours: all queries, then all keys, then all values."""
    attention = layer.attn
    parts = attention.c_attn.weight.chunk(3, dim=1)
    W_Q, W_K, W_V = (part.unflatten(1, (n_heads, -1)).transpose(0, 1) for part in parts)
    return W_Q, W_K, W_V, attention.c_proj.weight.unflatten(0, (n_heads, -1))


def _gpt_neo(layer: Any, n_heads: int) -> Matrices:
    """A matrix each. Scores are not divided by √K here as elsewhere: W_Q is multiplied by it."""
    attention = layer.attn.attention
    projections = (attention.q_proj, attention.k_proj, attention.v_proj)
    W_Q, W_K, W_V = (each.weight.unflatten(0, (n_heads, -1)).mT for each in projections)
    W_O = attention.out_proj.weight.mT.unflatten(0, (n_heads, -1))
    return W_Q * attention.head_dim**0.5, W_K, W_V, W_O


def _llama(layer: Any, n_heads: int) -> Matrices:
    """A matrix each; several heads may share keys and values (grouped queries).

    Queries and keys may be normalised, each head alone (Qwen 3) or all together (OLMo 2).
    """
    attention = layer.self_attn

    def split(projection: nn.Linear, norm: str | None = None) -> Tensor:
        W_HDK = projection.weight.unflatten(0, (-1, attention.head_dim)).mT
        if norm and hasattr(attention, norm):
            weight = getattr(attention, norm).weight
            W_HDK = W_HDK * weight.unflatten(0, (-1, 1, attention.head_dim))
        return W_HDK.repeat_interleave(n_heads // len(W_HDK), dim=0)

    W_Q, W_K = split(attention.q_proj, "q_norm"), split(attention.k_proj, "k_norm")
    W_O = attention.o_proj.weight.mT.unflatten(0, (n_heads, -1))
    return W_Q, W_K, split(attention.v_proj), W_O


def _olmo(layer: Any, n_heads: int) -> Matrices:
    """As Llama's; what the heads write together is normalised before it joins the stream."""
    W_Q, W_K, W_V, W_O = _llama(layer, n_heads)
    return W_Q, W_K, W_V, W_O * layer.post_attention_layernorm.weight


_GPT2 = Family("h", "ln_1", "ln_f", True, _gpt2)
_LLAMA = Family("layers", "input_layernorm", "norm", False, _llama)
_OLMO = replace(_LLAMA, norm=None, heads=_olmo)
FAMILIES = {
    "gpt_neox": Family("layers", "input_layernorm", "final_layer_norm", True, _gpt_neox),
    "gpt2": _GPT2,
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gpt_neo": replace(_GPT2, heads=_gpt_neo, tuples=True),
    "smollm3": _LLAMA,
    "olmo2": _OLMO,
    "olmo3": _OLMO,
}
