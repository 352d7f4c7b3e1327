"""How many multiplications and additions the work takes: products with weights, attention to half
of the context, unembedding. What goes element by element is left out: it is less than a hundredth.
"""

from induction.model.transformer import TransformerSpec


def block_flop(spec: TransformerSpec, length: int) -> int:
    """One block of a forward pass, for a token of a text of that length."""
    d = spec.d_model
    weights = 4 * d * d + (0 if spec.attn_only else 2 * d * spec.d_mlp)
    return 2 * (weights + d * (length + 1))


def forward_flop(spec: TransformerSpec, length: int) -> int:
    """A forward pass with its logits, for a token."""
    return spec.n_layers * block_flop(spec, length) + 2 * spec.d_model * spec.d_vocab


def training_flop(spec: TransformerSpec) -> int:
    """Training on a token: the forward pass, and twice as much for the gradients."""
    return 3 * forward_flop(spec, spec.n_ctx)


def ablation_flop(spec: TransformerSpec, length: int, kinds: int) -> int:
    """Two intact passes and every head taken out in `kinds` ways, each from its layer on."""
    from_layer = sum(spec.n_layers - layer for layer in range(spec.n_layers))
    blocks = spec.n_heads * kinds * from_layer * block_flop(spec, length)
    logits = spec.n_heads * kinds * spec.n_layers * 2 * spec.d_model * spec.d_vocab
    return 2 * forward_flop(spec, length) + blocks + logits
