"""Models of others against TransformerLens, where it reads the family from the same weights.

Runs where TransformerLens is installed: `make test-extras`.
"""

import copy
from typing import Any

import pytest
import torch

pytest.importorskip("transformer_lens")
pytestmark = pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated")

from made_external import D_VOCAB, random_external  # noqa: E402
from transformer_lens import (  # pyright: ignore[reportMissingImports]  # noqa: E402
    HookedTransformer,
    HookedTransformerConfig,
)
from transformer_lens.pretrained.weight_conversions import (  # pyright: ignore[reportMissingImports]  # noqa: E402
    convert_gpt2_weights,
    convert_llama_weights,
    convert_neox_weights,
    convert_qwen2_weights,
)

from induction.external.adapter import AdaptedModel  # noqa: E402
from induction.model.hooks import Intervention, Record  # noqa: E402

TOKENS = torch.randint(1, D_VOCAB, (3, 40), generator=torch.Generator().manual_seed(1))
CLOSE: dict[str, Any] = {"atol": 1e-4, "rtol": 1e-3}
ROTARY = {"positional_embedding_type": "rotary", "rotary_adjacent_pairs": False}
GATED = {
    **ROTARY,
    "normalization_type": "RMS",
    "gated_mlp": True,
    "final_rms": True,
    "n_key_value_heads": 2,
    "rotary_dim": 8,
    "act_fn": "silu",
    "rotary_base": 10000,
}
FAMILIES = {
    "gpt2": (convert_gpt2_weights, {"act_fn": "gelu_new", "normalization_type": "LN"}),
    "gpt_neox": (
        convert_neox_weights,
        {
            **ROTARY,
            "act_fn": "gelu",
            "normalization_type": "LN",
            "parallel_attn_mlp": True,
            "rotary_dim": 4,
        },
    ),
    "llama": (convert_llama_weights, GATED),
    "qwen2": (convert_qwen2_weights, GATED),
}


@pytest.fixture(params=FAMILIES)
def pair(request):
    """The same weights: in TransformerLens, and adapted."""
    convert, changes = FAMILIES[request.param]
    theirs = random_external(request.param)
    config = theirs.config
    cfg = HookedTransformerConfig(
        n_layers=3,
        d_model=32,
        d_head=8,
        n_heads=4,
        d_mlp=getattr(config, "intermediate_size", 128),
        n_ctx=128,
        d_vocab=D_VOCAB,
        eps=getattr(config, "rms_norm_eps", None) or 1e-5,
        original_architecture=type(theirs).__name__,
        device="cpu",
        **changes,
    )
    lens = HookedTransformer(cfg)
    lens.load_state_dict(convert(copy.deepcopy(theirs), cfg), strict=False)
    return lens, AdaptedModel(theirs)


def test_logits_patterns_head_outputs_and_streams_agree(pair):
    lens, ours = pair
    record = Record(("pattern", "z", "resid_pre"))
    logits = ours.residual(TOKENS, record) @ ours.W_U
    theirs, cache = lens.run_with_cache(TOKENS)
    assert logits.std() > 0.5
    torch.testing.assert_close(theirs, logits, **CLOSE)
    for layer in range(3):
        torch.testing.assert_close(cache["pattern", layer], record["pattern", layer], **CLOSE)
        torch.testing.assert_close(
            cache["z", layer].mT, record["z", layer].permute(0, 2, 3, 1), **CLOSE
        )
        torch.testing.assert_close(cache["resid_pre", layer], record["resid_pre", layer], **CLOSE)


def test_matrices_of_heads_agree(pair):
    lens, ours = pair
    for layer in range(3):
        attention = lens.blocks[layer].attn
        theirs = (attention.W_Q, attention.W_K, attention.W_V, attention.W_O)
        for got, expected in zip(ours.head_matrices(layer), theirs, strict=True):
            torch.testing.assert_close(got, expected, **CLOSE)


def test_taking_out_a_head_agrees(pair):
    lens, ours = pair

    def without(z, hook):
        z[:, :, 2] = 0
        return z

    theirs = lens.run_with_hooks(TOKENS, fwd_hooks=[("blocks.1.attn.hook_z", without)])
    scale = Intervention(head_scale={1: torch.tensor([1.0, 1.0, 0.0, 1.0])})
    torch.testing.assert_close(ours.residual(TOKENS, None, scale) @ ours.W_U, theirs, **CLOSE)
