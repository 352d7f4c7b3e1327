"""The transformer under study, with names as in TransformerLens.

Shape suffixes: B examples, T positions, D d_model, H heads, K d_head, M d_mlp, V d_vocab.
"""

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from induction.config import Clamp
from induction.model.clamps import clamped
from induction.model.hooks import Intervention, Record
from induction.model.interface import Norm
from induction.model.kernels import causal_attention, causal_patterns, linear


@dataclass(frozen=True)
class TransformerSpec:
    """The architecture of one model; all that is needed to rebuild it from its weights."""

    n_layers: int
    d_model: int
    n_heads: int
    d_mlp: int
    n_ctx: int
    d_vocab: int
    attn_only: bool
    smeared_keys: bool
    position_base: float
    smeared_values: bool = False
    clamp: Clamp = "none"

    @property
    def d_head(self) -> int:
        return self.d_model // self.n_heads


def sinusoids(n_ctx: int, d_model: int, base: float) -> Tensor:
    """Position vectors of unit amplitude, [n_ctx, d_model]: sines first, then cosines.

    Frequencies fall geometrically from 1 to almost 1 / `base` radians a token. Computed on the CPU,
    wherever the model is built.
    """
    channels = torch.arange(0, d_model, 2, device="cpu")
    frequency = torch.exp(channels * (-math.log(base) / d_model))
    angle = torch.arange(n_ctx, device="cpu")[:, None] * frequency[None, :]
    return torch.cat([angle.sin(), angle.cos()], dim=1)


def smeared(x_BHTK: Tensor, smear_H: Tensor | None) -> Tensor:
    """Every position mixed with the one before it, in the shares σ(smear) and 1 − σ(smear) of its
    head; the first position, and everything without a smear, stays as it is."""
    if smear_H is None:
        return x_BHTK
    own = torch.sigmoid(smear_H)[:, None, None]
    mixed = own * x_BHTK[:, :, 1:] + (1 - own) * x_BHTK[:, :, :-1]
    return torch.cat([x_BHTK[:, :, :1], mixed], dim=2)


class Attention(nn.Module):
    """Causal attention with Shortformer positions (Press et al. 2021): they reach queries and
    keys only, so neither values nor the residual stream carry position (paper, "Model details").

    With smeared keys, k_j becomes σ(α_h) k_j + (1 − σ(α_h)) k_{j−1}, with one learned scalar per
    head and the first key unchanged (paper, Argument 2). Smeared values are mixed in the same way:
    a control that gives a head another learned scalar and nothing that tells it what came before.
    """

    def __init__(self, spec: TransformerSpec):
        super().__init__()
        self.n_heads, self.d_head = spec.n_heads, spec.d_head
        d = spec.d_model
        self.W_Q = nn.Parameter(torch.empty(d, d))
        self.W_K = nn.Parameter(torch.empty(d, d))
        self.W_V = nn.Parameter(torch.empty(d, d))
        self.W_O = nn.Parameter(torch.empty(d, d))
        self.smear = nn.Parameter(torch.zeros(spec.n_heads)) if spec.smeared_keys else None
        self.smear_values = nn.Parameter(torch.zeros(spec.n_heads)) if spec.smeared_values else None

    def heads(self, x_BTD: Tensor) -> Tensor:
        """Split the last dimension into heads: [B, H, T, K]."""
        return x_BTD.unflatten(-1, (self.n_heads, self.d_head)).transpose(1, 2)

    def queries_keys(self, x_BTD: Tensor, positions_TD: Tensor) -> tuple[Tensor, Tensor]:
        qk = linear(x_BTD + positions_TD, torch.cat([self.W_Q, self.W_K], dim=1))
        q, k = map(self.heads, qk.chunk(2, dim=-1))
        return q, smeared(k, self.smear)

    def values(self, x_BTD: Tensor) -> Tensor:
        return smeared(self.heads(linear(x_BTD, self.W_V)), self.smear_values)

    def z(
        self,
        x_BTD: Tensor,
        positions_TD: Tensor,
        layer: int,
        record: Record | None,
        intervene: Intervention | None,
    ) -> Tensor:
        """Every head's output before W_O, [B, H, T, K]."""
        v = self.values(x_BTD)
        pattern = intervene.patterns.get(layer) if intervene else None
        if pattern is None:
            q, k = self.queries_keys(x_BTD, positions_TD)
            if not (intervene and intervene.attends_otherwise(layer)):
                if record and record.wants("pattern", layer):
                    record.put("pattern", layer, causal_patterns(q, k))
                return causal_attention(q, k, v)
            pattern = causal_patterns(q, k)
        if intervene:
            pattern = intervene.pattern(layer, pattern)
        if record:
            record.put("pattern", layer, pattern)
        return pattern @ v

    def forward(
        self,
        x_BTD: Tensor,
        positions_TD: Tensor,
        layer: int,
        record: Record | None,
        intervene: Intervention | None,
    ) -> Tensor:
        kept = intervene.z.get(layer) if intervene else None
        z = self.z(x_BTD, positions_TD, layer, record, intervene) if kept is None else kept
        if record:
            record.put("z", layer, z)
        if intervene:
            z = intervene.head_output(layer, z)
        return linear(z.transpose(1, 2).flatten(2), self.W_O)


class MLP(nn.Module):
    """Two matrices with a GELU between them."""

    def __init__(self, spec: TransformerSpec):
        super().__init__()
        self.W_in = nn.Parameter(torch.empty(spec.d_model, spec.d_mlp))
        self.W_out = nn.Parameter(torch.empty(spec.d_mlp, spec.d_model))

    def forward(self, x_BTD: Tensor) -> Tensor:
        return linear(F.gelu(linear(x_BTD, self.W_in)), self.W_out)


class Block(nn.Module):
    """Attention, then an MLP unless the model has none, each reading the normalised stream."""

    def __init__(self, spec: TransformerSpec):
        super().__init__()
        self.ln1 = nn.LayerNorm(spec.d_model)
        self.attn = Attention(spec)
        self.ln2 = None if spec.attn_only else nn.LayerNorm(spec.d_model)
        self.mlp = None if spec.attn_only else MLP(spec)

    def forward(
        self,
        resid_BTD: Tensor,
        positions_TD: Tensor,
        layer: int,
        record: Record | None,
        intervene: Intervention | None,
    ) -> Tensor:
        attention = self.attn(self.ln1(resid_BTD), positions_TD, layer, record, intervene)
        resid_BTD = resid_BTD + attention
        if self.mlp is not None and self.ln2 is not None:
            resid_BTD = resid_BTD + self.mlp(self.ln2(resid_BTD))
        return resid_BTD


class Transformer(nn.Module):
    """A decoder-only transformer with pre-norm; the unembedding is not tied to the embedding."""

    positions: Tensor

    def __init__(self, spec: TransformerSpec):
        super().__init__()
        self.spec = spec
        self.W_E = nn.Parameter(torch.empty(spec.d_vocab, spec.d_model))
        self.blocks = cast("list[Block]", nn.ModuleList(Block(spec) for _ in range(spec.n_layers)))
        self.ln_final = nn.LayerNorm(spec.d_model)
        self.W_U = nn.Parameter(torch.empty(spec.d_model, spec.d_vocab))
        positions = sinusoids(spec.n_ctx, spec.d_model, spec.position_base)
        self.register_buffer("positions", positions, persistent=False)

    @property
    def device(self) -> torch.device:
        return self.W_E.device

    def head_matrices(self, layer: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """W_Q, W_K, W_V as [H, D, K] and W_O as [H, K, D]."""
        attention = self.blocks[layer].attn

        def split(weight: Tensor) -> Tensor:
            return weight.unflatten(1, (attention.n_heads, -1)).transpose(0, 1)

        W_O = attention.W_O.unflatten(0, (attention.n_heads, -1))
        return split(attention.W_Q), split(attention.W_K), split(attention.W_V), W_O

    def norm(self, layer: int) -> Norm:
        """What stands before the heads of a layer; for n_layers, before the unembedding."""
        norm = self.ln_final if layer == self.spec.n_layers else self.blocks[layer].ln1
        return Norm(norm.weight, norm.bias, norm.eps, centred=True)

    def residual(
        self,
        tokens_BT: Tensor,
        record: Record | None = None,
        intervene: Intervention | None = None,
    ) -> Tensor:
        """The normalised final residual stream, [B, T, D]: what the unembedding reads."""
        first, resid_BTD = 0, None
        intervene = clamped(self.spec.clamp, self.spec.n_layers, tokens_BT, intervene)
        if intervene and intervene.start:
            first, resid_BTD = intervene.start
        if resid_BTD is None:
            resid_BTD = F.embedding(tokens_BT, self.W_E)
        positions_TD = self.positions[: tokens_BT.shape[1]]
        for layer in range(first, self.spec.n_layers):
            if record:
                record.put("resid_pre", layer, resid_BTD)
            resid_BTD = self.blocks[layer](resid_BTD, positions_TD, layer, record, intervene)
        return self.ln_final(resid_BTD)

    def forward(
        self,
        tokens_BT: Tensor,
        record: Record | None = None,
        intervene: Intervention | None = None,
    ) -> Tensor:
        """Logits, [B, T, V]; `record` is filled and `intervene` obeyed on the way."""
        return linear(self.residual(tokens_BT, record, intervene), self.W_U)


def initialise(model: Transformer, seed: int, embedding_std: float) -> None:
    """Seeded weights: the stream starts as the embedding alone, as output matrices are zero."""
    random = torch.Generator().manual_seed(seed)
    d = model.spec.d_model
    with torch.no_grad():
        for name, weight in model.named_parameters():
            kind = name.rsplit(".", 1)[-1]
            if kind in ("W_O", "W_out", "W_U"):
                weight.zero_()
            elif kind == "W_E":
                weight.normal_(0.0, embedding_std, generator=random)
            elif kind.startswith("W_"):
                weight.normal_(0.0, 1.0 / math.sqrt(d), generator=random)
