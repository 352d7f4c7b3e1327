"""Where each family of models keeps what the study asks of it.

Biases of queries, keys, values and output projections are left out of the matrices: a bias adds
the same for every token, and circuits are about what differs between tokens. Rotary positions are
left out too, so that queries and keys meet as at distance 0. Shape suffixes as in transformer.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from induction.errors import StudyError
from induction.model.interface import Norm

Matrices = tuple[Tensor, Tensor, Tensor, Tensor]


@dataclass(frozen=True)
class Family:
    """Names of a family's parts. heads: W_Q, W_K, W_V [H, D, K] and W_O [H, K, D] of a layer, with
    shared keys and values repeated. layers, final_norm: parts of the base model; norm: part of a
    layer, before its heads. centred: LayerNorm, not RMSNorm."""

    layers: str
    norm: str
    final_norm: str
    centred: bool
    heads: Callable[[nn.Module, int], Matrices]


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


def _llama(layer: Any, n_heads: int) -> Matrices:
    """A matrix each; several heads may share keys and values (grouped queries).

    Where queries and keys are normalised (Qwen 3), the norm's weights are folded in and its scale
    is left out.
    """
    attention = layer.self_attn

    def split(projection: nn.Linear) -> Tensor:
        W_HDK = projection.weight.unflatten(0, (-1, attention.head_dim)).mT
        return W_HDK.repeat_interleave(n_heads // len(W_HDK), dim=0)

    W_Q, W_K, W_V = map(split, (attention.q_proj, attention.k_proj, attention.v_proj))
    if hasattr(attention, "q_norm"):
        W_Q, W_K = W_Q * attention.q_norm.weight, W_K * attention.k_norm.weight
    return W_Q, W_K, W_V, attention.o_proj.weight.mT.unflatten(0, (n_heads, -1))


_LLAMA = Family("layers", "input_layernorm", "norm", False, _llama)
FAMILIES = {
    "gpt_neox": Family("layers", "input_layernorm", "final_layer_norm", True, _gpt_neox),
    "gpt2": Family("h", "ln_1", "ln_f", True, _gpt2),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
}
