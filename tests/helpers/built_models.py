"""Transformers built by hand, whose every score is known from theory."""

import torch

from induction.model.transformer import Attention, Transformer, TransformerSpec, initialise

N_CTX, D_VOCAB = 64, 32
SHARP = 60.0  # attention logits large enough for patterns of 0 and 1 in float32


def random_model(seed: int = 0, **changes) -> Transformer:
    """A small model with random weights everywhere, output matrices included."""
    spec = {
        "n_layers": 2,
        "d_model": 32,
        "n_heads": 4,
        "d_mlp": 48,
        "n_ctx": N_CTX,
        "d_vocab": D_VOCAB,
        "attn_only": True,
        "smeared_keys": False,
        "position_base": 100.0,
    }
    model = Transformer(TransformerSpec(**{**spec, **changes}))
    initialise(model, seed, embedding_std=1.0)
    random = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.rsplit(".", 1)[-1].startswith("W_"):
                weight.normal_(0.0, weight.shape[0] ** -0.5, generator=random)
    return model.eval().requires_grad_(False)


def uneven_model(seed: int = 0, **changes) -> Transformer:
    """As random_model, with random weights and biases of the norms too."""
    model = random_model(seed, **changes)
    random = torch.Generator().manual_seed(seed + 2)
    for name, weight in model.named_parameters():
        if ".ln" in name or name.startswith("ln"):
            weight.normal_(1.0 if name.endswith("weight") else 0.0, 0.3, generator=random)
    return model


# Places in the stream of the built models: one-hot positions, which reach queries and keys only and
# leave their place to the prediction; the token; and the token before, for a head to write.
POSITION, PREDICTION = slice(0, N_CTX), slice(0, D_VOCAB)
TOKEN = slice(N_CTX, N_CTX + D_VOCAB)
BEFORE = slice(N_CTX + D_VOCAB, N_CTX + 2 * D_VOCAB)
D_MODEL = N_CTX + 2 * D_VOCAB


def induction_model() -> Transformer:
    """Two layers of two heads: 0.0 attends to the previous token, 1.0 completes [A][B] … [A] → [B]
    by K-composition, 0.1 and 1.1 are idle (uniform attention, no output)."""
    model = _empty_model(n_layers=2)
    _previous_token_head(model.blocks[0].attn, writes=BEFORE)
    _matching_head(model.blocks[1].attn, query=TOKEN, key=BEFORE)
    return model


def q_composition_model() -> Transformer:
    """As the induction model, but what 0.0 wrote is read by the queries of 1.0: it attends to the
    tokens equal to the one before the current one."""
    model = _empty_model(n_layers=2)
    _previous_token_head(model.blocks[0].attn, writes=BEFORE)
    _matching_head(model.blocks[1].attn, query=BEFORE, key=TOKEN)
    return model


def v_composition_model() -> Transformer:
    """As the induction model, but what 0.0 wrote is read by the values of 1.0, which attends to the
    previous token too: together a head that moves tokens by two places."""
    model = _empty_model(n_layers=2)
    _previous_token_head(model.blocks[0].attn, writes=BEFORE)
    _previous_token_head(model.blocks[1].attn, reads=BEFORE, writes=PREDICTION)
    return model


def one_layer_model() -> Transformer:
    """The induction head of induction_model() without the layer that it needs below it."""
    model = _empty_model(n_layers=1)
    _matching_head(model.blocks[0].attn, query=TOKEN, key=BEFORE)
    return model


def smeared_model() -> Transformer:
    """One layer with smeared keys, σ(α) = 0: every key is the previous token's, so that 0.0
    completes [A][B] … [A] → [B] without a layer below; 0.1 is idle."""
    model = _empty_model(n_layers=1, smeared_keys=True)
    attention = model.blocks[0].attn
    _matching_head(attention, query=TOKEN, key=TOKEN)
    assert attention.smear is not None
    attention.smear.fill_(-torch.inf)
    return model


def _empty_model(**changes) -> Transformer:
    """Two idle heads a layer: all weights are zero but the embedding, norms and unembedding."""
    model = random_model(d_model=D_MODEL, n_heads=2, **changes)
    for name, weight in model.named_parameters():
        weight.fill_(float(name.endswith(("ln1.weight", "ln_final.weight"))))
    model.positions = torch.eye(N_CTX, D_MODEL)
    # Zero mean, so that normalisation is one factor for all tokens.
    model.W_E[:, TOKEN] = torch.eye(D_VOCAB) - 1.0 / D_VOCAB
    model.W_U[PREDICTION] = SHARP * torch.eye(D_VOCAB)
    return model


def _previous_token_head(attention: Attention, writes: slice, reads: slice = TOKEN) -> None:
    """Make head 0 move what stands in a place of the stream from the previous token."""
    attention.W_Q[POSITION, :N_CTX] = SHARP * torch.eye(N_CTX)
    key_answers_next_query = torch.eye(N_CTX).roll(1, dims=1)
    key_answers_next_query[-1, 0] = 0.0
    attention.W_K[POSITION, :N_CTX] = SHARP * key_answers_next_query
    _move(attention, reads, writes)


def _matching_head(attention: Attention, query: slice, key: slice) -> None:
    """Make head 0 predict the tokens whose place `key` holds what the query's place holds."""
    attention.W_Q[query, :D_VOCAB] = SHARP * torch.eye(D_VOCAB)
    attention.W_K[key, :D_VOCAB] = SHARP * torch.eye(D_VOCAB)
    _move(attention, TOKEN, PREDICTION)


def _move(attention: Attention, reads: slice, writes: slice) -> None:
    attention.W_V[reads, :D_VOCAB] = torch.eye(D_VOCAB)
    attention.W_O[:D_VOCAB, writes] = torch.eye(D_VOCAB)
