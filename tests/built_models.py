"""Transformers built by hand, whose every score is known from theory."""

import torch

from induction.model.transformer import Transformer, TransformerSpec, initialise

N_CTX, D_VOCAB = 64, 32
_SHARP = 60.0  # attention logits large enough for patterns of 0 and 1 in float32


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


def induction_model() -> Transformer:
    """Two layers of two heads: 0.0 attends to the previous token, 1.0 completes [A][B] … [A] → [B],
    0.1 and 1.1 are idle (uniform attention, no output).

    The stream has a place for the token's identity and one for the previous token's; positions are
    one-hot, in dimensions that the stream leaves at zero and that hold the prediction at the end.
    """
    n, v = N_CTX, D_VOCAB
    model = random_model(d_model=n + 2 * v, n_heads=2)
    token, previous, prediction = slice(n, n + v), slice(n + v, n + 2 * v), slice(0, v)
    one = torch.eye(v) - 1.0 / v  # zero mean, so that normalisation is one factor for all tokens
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        for name, weight in model.named_parameters():
            if name.endswith(("ln1.weight", "ln_final.weight")):
                weight.fill_(1.0)
        model.positions = torch.eye(n, n + 2 * v)
        model.W_E[:, token] = one
        attention = model.blocks[0].attn
        attention.W_Q[:n, :n] = _SHARP * torch.eye(n)
        attention.W_K[:n, :n] = _SHARP * torch.eye(n).roll(1, dims=1)  # key j answers query j + 1
        attention.W_K[n - 1, 0] = 0.0
        attention.W_V[token, :v] = torch.eye(v)
        attention.W_O[:v, previous] = torch.eye(v)
        attention = model.blocks[1].attn
        attention.W_Q[token, :v] = _SHARP * torch.eye(v)
        attention.W_K[previous, :v] = _SHARP * torch.eye(v)
        attention.W_V[token, :v] = torch.eye(v)
        attention.W_O[:v, prediction] = torch.eye(v)
        model.W_U[prediction] = _SHARP * torch.eye(v)
    return model
