"""Small models of every family with random weights, and a folder of tokens to measure them on."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    Olmo2Config,
    Olmo3Config,
    Qwen2Config,
    Qwen3Config,
    SmolLM3Config,
)

from induction.data.tokenizer import encode_documents, train_tokenizer
from induction.data.tokens import START_TOKEN, TokensMeta
from induction.files import published_folder, write_json

D_VOCAB = 300
_OWN: dict[str, Any] = {"vocab_size": D_VOCAB, "bos_token_id": 0, "eos_token_id": None}
_ALIKE: dict[str, Any] = {
    **_OWN,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
}
_GROUPED: dict[str, Any] = {**_ALIKE, "num_key_value_heads": 2}
CONFIGS: dict[str, Any] = {
    "gpt_neox": lambda: GPTNeoXConfig(**{**_ALIKE, "rotary_pct": 0.5}),
    "gpt2": lambda: GPT2Config(**_OWN, n_embd=32, n_layer=3, n_head=4, n_positions=128),
    "llama": lambda: LlamaConfig(**_GROUPED),
    "mistral": lambda: MistralConfig(**_GROUPED, sliding_window=8),
    "qwen2": lambda: Qwen2Config(**_GROUPED),
    "qwen3": lambda: Qwen3Config(**_GROUPED, head_dim=16),
    "gpt_neo": lambda: GPTNeoConfig(
        **{**_OWN, "hidden_size": 32, "num_layers": 3, "num_heads": 4, "intermediate_size": 48},
        max_position_embeddings=128,
        attention_types=[[["global", "local"], 1], [["local"], 1]],
        window_size=8,
    ),
    # Layers with and without rotary positions, and both with and without a window.
    "smollm3": lambda: SmolLM3Config(
        **_GROUPED,
        pad_token_id=None,
        use_sliding_window=True,
        sliding_window=8,
        no_rope_layers=[1, 0, 0],
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    ),
    "olmo2": lambda: Olmo2Config(
        **{**_GROUPED, "head_dim": 16}, pad_token_id=None, attention_bias=True
    ),
    "olmo3": lambda: Olmo3Config(
        **_GROUPED,
        pad_token_id=None,
        sliding_window=8,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
    ),
}


def random_external(family: str, seed: int = 0, d_vocab: int = D_VOCAB) -> Any:
    """A model of a family with random weights and biases everywhere, attending eagerly."""
    torch.manual_seed(seed)
    config = CONFIGS[family]()
    config.vocab_size = d_vocab
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn(weight.shape, generator=random), alpha=0.2)
    return model.eval().requires_grad_(False)


def save_external(model: Any, folder: Path, tokenizer: Tokenizer) -> None:
    """One revision as others publish it."""
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))


def make_tokens(folder: Path, texts: list[str], scratch: Path, d_vocab: int = D_VOCAB) -> Tokenizer:
    """A folder of tokens whose training and validation text are the same; its tokenizer."""
    tokenizer = train_tokenizer(texts, d_vocab)
    stream = np.concatenate(list(encode_documents(tokenizer, texts)))
    counts = dict.fromkeys(("train_documents", "valid_documents"), len(texts))
    counts |= dict.fromkeys(("train_characters", "valid_characters"), sum(map(len, texts)))
    counts |= dict.fromkeys(("train_tokens", "valid_tokens"), len(stream))
    meta = TokensMeta(
        d_vocab=d_vocab,
        start_token=START_TOKEN,
        characters_per_token=sum(map(len, texts)) / len(stream),
        dropped={},
        sources=(),
        **counts,
    )
    with published_folder(folder, scratch) as scratch_folder:
        tokenizer.save(str(scratch_folder / "tokenizer.json"))
        for split in ("train", "valid"):
            (scratch_folder / f"{split}.bin").write_bytes(stream.astype("<u2").tobytes())
        write_json(scratch_folder / "meta.json", meta.model_dump(mode="json"))
    return tokenizer


def texts(documents: int = 12, seed: int = 0) -> list[str]:
    """Lines of code and prose with characters of one to four bytes, each document its own."""
    random = np.random.default_rng(seed)
    words = ["return", "value", "naïve", "größer", "π ≈ 3", "日本語", "🙂", "self.x", "=", "(a, b)"]
    return [
        "\n".join(
            f"{'    ' * int(random.integers(3))}{' '.join(random.choice(words, 9))}  # {number}"
            for _ in range(25)
        )
        for number in range(documents)
    ]
