"""A snapshot as a HookedTransformer, for everything that TransformerLens can do with one."""

import torch
from torch import Tensor

from induction.errors import StudyError
from induction.model.transformer import Transformer

try:
    from transformer_lens import (  # pyright: ignore[reportMissingImports]
        HookedTransformer,
        HookedTransformerConfig,
    )
except ModuleNotFoundError as error:
    raise StudyError(
        f"{error.name}: not installed: `make test-extras` makes .venv-extras, which has it"
    ) from None


def to_transformer_lens(model: Transformer) -> HookedTransformer:
    """The same model in TransformerLens, with the weights as they are: no norm is folded in.

    It has no tokenizer: give it token ids. Names of layers, heads and weights agree, and so do
    `blocks.L.attn.hook_pattern` and `hook_z` with this study's `pattern` and `z` (z with heads
    after positions: [B, T, H, K]).

    Raises StudyError for smeared keys or values, which TransformerLens does not have.
    """
    spec = model.spec
    if spec.smeared_keys or spec.smeared_values:
        raise StudyError(
            "smeared keys or values: TransformerLens has no such attention: export another model"
        )
    peer = HookedTransformer(
        HookedTransformerConfig(
            n_layers=spec.n_layers,
            d_model=spec.d_model,
            n_heads=spec.n_heads,
            d_head=spec.d_head,
            d_mlp=None if spec.attn_only else spec.d_mlp,
            n_ctx=spec.n_ctx,
            d_vocab=spec.d_vocab,
            attn_only=spec.attn_only,
            act_fn="gelu",  # the exact one, as in transformer.py; "gelu_new" is the approximation
            normalization_type="LN",
            eps=model.ln_final.eps,
            positional_embedding_type="shortformer",
            device=str(model.W_E.device),
            dtype=model.W_E.dtype,
            init_weights=False,
        )
    )
    given = peer.state_dict()
    biases = {name: torch.zeros_like(given[name]) for name in given if ".b_" in name}
    peer.load_state_dict(given | biases | _weights(model))
    return peer.eval().requires_grad_(False)


def _weights(model: Transformer) -> dict[str, Tensor]:
    """TransformerLens' names → weights in its shapes, for all but the biases."""
    weights = {
        "embed.W_E": model.W_E,
        "pos_embed.W_pos": model.positions,
        "unembed.W_U": model.W_U,
        **_norm("ln_final", model.ln_final),
    }
    for layer in range(model.spec.n_layers):
        own = _block_weights(model, layer)
        weights |= {f"blocks.{layer}.{name}": weight for name, weight in own.items()}
    return weights


def _block_weights(model: Transformer, layer: int) -> dict[str, Tensor]:
    block, names = model.blocks[layer], ("attn.W_Q", "attn.W_K", "attn.W_V", "attn.W_O")
    weights = dict(zip(names, model.head_matrices(layer), strict=True))
    weights |= _norm("ln1", block.ln1)
    if block.mlp is not None and block.ln2 is not None:
        weights |= {"mlp.W_in": block.mlp.W_in, "mlp.W_out": block.mlp.W_out}
        weights |= _norm("ln2", block.ln2)
    return weights


def _norm(name: str, norm: torch.nn.LayerNorm) -> dict[str, Tensor]:
    return {f"{name}.w": norm.weight, f"{name}.b": norm.bias}
