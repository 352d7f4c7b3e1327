"""What the circuits of each family in families.py leave out, in words for the report."""

_WINDOWS = "rotary positions and the limits of local windows"
_OLMO = (
    "biases, where there are any, the scales of the norms of queries, of keys and of what the "
    "heads of a layer write together,"
)
LEFT_OUT = {
    "gpt_neox": "biases and rotary positions",
    "gpt2": "biases and learned positions",
    "llama": "biases, where there are any, and rotary positions",
    "mistral": _WINDOWS,
    "qwen2": f"biases, {_WINDOWS}",
    "qwen3": "the scales of the norms of queries and keys, biases, where there are any, "
    + _WINDOWS,
    "gpt_neo": "biases, learned positions and the limits of local windows",
    "smollm3": f"biases, where there are any, {_WINDOWS}, in the layers that have them",
    "olmo2": f"{_OLMO} and rotary positions",
    "olmo3": f"{_OLMO} {_WINDOWS}",
}
