"""How many examples fit into the memory of the device at once."""

import psutil
import torch

from induction.errors import StudyError
from induction.model.interface import Shape

_SHARE = 0.5  # of the free memory: pieces are freed and taken again, and others may need some
_MOST_ON_GPU = 512
_FLOAT = 4
_STREAMS = 20  # [T, D] arrays alive at once in a block: stream, norm, q, k, v, z, an MLP's 2 × 4, …
_KEPT_STREAMS = 2  # [T, D] arrays of a layer that an ablation keeps: its input and z
_PATTERNS = 3  # [H, T, T] arrays alive at once: scores, mask applied, softmax


def fitting_batch(
    spec: Shape, device: torch.device, length: int, at_most: int, *, patterns: bool
) -> int:
    """How many examples of `length` tokens to run at once, with every layer's patterns or without.

    On a CPU `at_most`, what its caches like, or fewer where memory is short; on a GPU as many as
    fit into half of its free memory. Raises StudyError when not even one does.
    """
    free = _SHARE * free_memory(device)
    each = bytes_per_example(spec, length, patterns=patterns)
    if each > free:
        raise StudyError(
            f"{device.type}: an example of {length} tokens takes about {each / 1e9:.1f} GB, and "
            f"{free / 1e9:.1f} GB may be used: free some memory, or take a larger device"
        )
    return min(int(free // each), at_most if device.type == "cpu" else _MOST_ON_GPU)


def bytes_per_example(spec: Shape, length: int, *, patterns: bool) -> int:
    """Memory of a forward pass for each example, in float32, with what is recorded if asked."""
    stream, square = length * spec.d_model, spec.n_heads * length**2
    alive = _STREAMS * stream
    if patterns:
        alive += (_PATTERNS + spec.n_layers) * square + _KEPT_STREAMS * spec.n_layers * stream
    return alive * _FLOAT


def free_memory(device: torch.device) -> int:
    """Bytes that the device could still give."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    return psutil.virtual_memory().available
