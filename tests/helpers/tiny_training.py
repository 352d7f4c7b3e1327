"""A tiny model and its text, for tests of training."""

import numpy as np

from induction.model.transformer import TransformerSpec

SPEC = TransformerSpec(
    n_layers=2,
    d_model=32,
    n_heads=4,
    d_mlp=64,
    n_ctx=32,
    d_vocab=64,
    attn_only=False,
    smeared_keys=True,
    position_base=100.0,
)
TOKENS = np.random.default_rng(0).integers(0, 64, 20_000).astype(np.uint16)
WINDOWS = np.random.default_rng(1).permutation(np.arange(0, 19_000, 32))
