"""Small models of other families, trained with the study's recipe on the study's tokens and saved
as `transformers` saves them: a folder for each revision, with the tokenizer."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM

from induction.train.loop import batches
from induction.train.muon import Muon
from induction.train.schedule import warmed_up

_WRITES = ("dense.weight", "dense_4h_to_h.weight", "o_proj.weight", "down_proj.weight")
_SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "bos_token_id": 0,
    "eos_token_id": None,
    "pad_token_id": None,
    "tie_word_embeddings": False,
    "use_cache": False,
}


def small_gpt_neox(d_vocab: int, n_ctx: int, **changes: Any) -> GPTNeoXForCausalLM:
    """Layers beside MLPs that are as small as they can be, half of each head's channels rotary."""
    own = {"intermediate_size": 16, "rotary_pct": 0.5, "use_parallel_residual": True}
    sizes = {"vocab_size": d_vocab, "max_position_embeddings": 2 * n_ctx, **_SIZES, **own}
    return GPTNeoXForCausalLM(GPTNeoXConfig(**{**sizes, **changes}))


def small_llama(d_vocab: int, n_ctx: int, **changes: Any) -> LlamaForCausalLM:
    """Two heads share each of two sets of keys and values."""
    own = {"intermediate_size": 16, "num_key_value_heads": 2}
    sizes = {"vocab_size": d_vocab, "max_position_embeddings": 2 * n_ctx, **_SIZES, **own}
    return LlamaForCausalLM(LlamaConfig(**{**sizes, **changes}))


def initialise(model: Any, seed: int) -> None:
    """As the study's models: what writes to the stream or to the logits starts from zero."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(_WRITES) or weight is model.get_output_embeddings().weight:
                weight.zero_()
            elif weight is model.get_input_embeddings().weight:
                weight.normal_(0.0, 0.3, generator=random)
            elif weight.ndim == 2:
                weight.normal_(0.0, weight.shape[1] ** -0.5, generator=random)


def train(
    model: Any, data: Iterator[Tensor], steps: int, warmup: int = 100
) -> Iterator[tuple[int, float]]:
    """Train in place; yields the number of steps done and the loss, from 0 steps on."""
    matrices, rest = [], []
    for name, weight in model.named_parameters():
        (matrices if ".layers." in name and weight.ndim == 2 else rest).append(weight)
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(rest, lr=1.6e-2, betas=(0.9, 0.95), weight_decay=0.0),
        Muon(matrices, lr=2e-2, momentum=0.95, weight_decay=0.0),
    ]
    base = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    yield 0, float("nan")
    for step in range(steps):
        tokens_BT = next(data)
        for optimizer, rate in zip(optimizers, base, strict=True):
            optimizer.param_groups[0]["lr"] = rate * warmed_up(step, warmup)
        logits_BTV = model(tokens_BT[:, :-1]).logits
        loss = F.cross_entropy(logits_BTV.flatten(0, 1), tokens_BT[:, 1:].flatten())
        loss.backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        yield step + 1, loss.item()


def save_revision(model: Any, folder: Path, tokenizer: Path) -> None:
    """One revision as others publish it: configuration, weights, tokenizer."""
    model.save_pretrained(folder)
    shutil.copyfile(tokenizer, folder / "tokenizer.json")


def train_revisions(
    model: Any,
    folder: Path,
    tokenizer: Path,
    train_tokens: np.ndarray,
    n_ctx: int,
    batch_size: int,
    saved: Sequence[int],
    seed: int = 0,
) -> dict[str, int]:
    """Train from random weights, and save after each of the given steps; names and steps."""
    initialise(model, seed)
    windows = np.random.default_rng(seed).permutation((len(train_tokens) - 1) // n_ctx) * n_ctx
    revisions = {}
    for step, _ in train(model, batches(train_tokens, windows, n_ctx, batch_size), max(saved)):
        if step in saved:
            save_revision(model, folder / f"step{step}", tokenizer)
            revisions[f"step{step}"] = step
    return revisions
