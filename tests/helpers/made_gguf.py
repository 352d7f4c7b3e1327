"""Small Llama models as GGUF files, written by the package gguf."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig

LAYERS, HEADS, GROUPS = 3, 4, 2
_OF_LAYER = {
    "input_layernorm": "attn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"} | {
    f"model.layers.{n}.{ours}": f"blk.{n}.{theirs}"
    for n in range(LAYERS)
    for ours, theirs in _OF_LAYER.items()
}


def random_llama(d_vocab: int, seed: int = 0) -> Any:
    """Eager, in evaluation mode, with an unembedding of its own."""
    config = LlamaConfig(
        vocab_size=d_vocab,
        hidden_size=32,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=GROUPS,
        intermediate_size=64,
        max_position_embeddings=256,
        bos_token_id=0,
        eos_token_id=0,
        tie_word_embeddings=False,
    )
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.normal_(0.0, 0.2)
    return model.eval()


def write_gguf(
    model: Any,
    tokenizer: Tokenizer,
    path: Path,
    kind: GGMLQuantizationType = GGMLQuantizationType.F32,
    *,
    without: str | None = None,
    change: Callable[[GGUFWriter], None] = lambda writer: None,
) -> None:
    """The model as a GGUF file; its matrices as numbers of a kind, its vectors in float32.

    without: a tensor that is left out. change: what else is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    config = model.config
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    _add_tokenizer(writer, tokenizer)
    change(writer)
    for name, value in model.state_dict().items():
        part, _, last = name.rpartition(".")
        if f"{_NAMES[part]}.{last}" == without:
            continue
        array = _as_stored(_NAMES[part], value.numpy())
        if array.ndim > 1 and kind != GGMLQuantizationType.F32:
            writer.add_tensor(f"{_NAMES[part]}.{last}", quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(f"{_NAMES[part]}.{last}", array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _as_stored(name: str, array: np.ndarray) -> np.ndarray:
    """Rows of queries and keys stand in another order there: pairs that turn together, together."""
    heads = {"attn_q": HEADS, "attn_k": GROUPS}.get(name.rpartition(".")[2])
    if heads is None:
        return np.ascontiguousarray(array)
    rows = array.reshape(heads, 2, -1, array.shape[1]).swapaxes(1, 2)
    return np.ascontiguousarray(rows.reshape(array.shape))


def _add_tokenizer(writer: GGUFWriter, tokenizer: Tokenizer) -> None:
    tokens = sorted(tokenizer.get_vocab().items(), key=lambda pair: pair[1])
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([token for token, _ in tokens])
    writer.add_token_types([3 if token == 0 else 1 for _, token in tokens])
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(0)
