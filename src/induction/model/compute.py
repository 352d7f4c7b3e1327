"""Where and with how many threads the models run."""

import ctypes

import torch
import torch.utils.deterministic

from induction.config import Compute
from induction.errors import StudyError


def set_up_torch(compute: Compute) -> torch.device:
    """Fix threads and determinism, and return the device.

    Raises StudyError when the device is not there.
    """
    if compute.device == "cuda" and not torch.cuda.is_available():
        raise StudyError(
            "params.yaml: compute.device: cuda, but torch sees no GPU here: set compute.device: cpu"
        )
    torch.set_num_threads(compute.threads)
    torch.use_deterministic_algorithms(True, warn_only=compute.device == "cuda")
    # No code here reads memory before it writes it; to fill it first costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    _keep_freed_memory()
    return torch.device(compute.device)


def _keep_freed_memory() -> None:
    """Have the C library use the memory of one step again in the next, where it can be told so.

    By default it gives large pieces back to the system each time, and a fifth of a training step
    goes into getting them again.
    """
    trim_threshold, mmap_threshold = -1, -3
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # not glibc
        return
    mallopt(mmap_threshold, 1 << 25)  # the most that it takes
    mallopt(trim_threshold, 1 << 30)
