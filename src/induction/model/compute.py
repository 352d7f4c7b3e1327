"""Where, with how many threads and in which precision the models run."""

import ctypes
import os
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.utils.deterministic

from induction.config import Compute
from induction.errors import StudyError

_LOCAL_RANK = "LOCAL_RANK"  # torchrun's: which of this machine's processes this is


def set_up_torch(compute: Compute) -> torch.device:
    """Fix threads and determinism, and return the device: each process of a group has a GPU.

    Raises StudyError when the device is not there.
    """
    device = torch.device(compute.device)
    if device.type == "cuda":
        device = _own_gpu()
    torch.set_num_threads(compute.threads)
    # Numbers too small to be normal count as 0: Intel's processors are slow at them. Threads that
    # begin later take this over, so it comes before any work.
    torch.set_flush_denormal(True)
    # A GPU's fastest products need this memory to be deterministic.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    # Not "warn": with that, a GPU's attention stays as fast and as arbitrary as it was.
    torch.set_deterministic_debug_mode("error")
    if compute.compile:  # also of compiled code; to load what compiles takes two seconds
        torch.use_deterministic_algorithms(True)
    # No code here reads memory before it writes it; to fill it first costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # pyright: ignore[reportAttributeAccessIssue]
    _keep_freed_memory()
    return device


def mixed_precision(device: torch.device, dtype: str) -> AbstractContextManager[object]:
    """A context in which matrix products are of `dtype`, "float32" or "bfloat16".

    Weights, residual stream, norms, softmax and losses stay float32 in both.
    """
    if dtype == "float32":
        return nullcontext()
    return torch.autocast(device.type, dtype=getattr(torch, dtype))


def _own_gpu() -> torch.device:
    if not torch.cuda.is_available():
        raise StudyError(
            "params.yaml: compute.device: cuda, but torch sees no GPU here: set compute.device: cpu"
        )
    number, count = int(os.environ.get(_LOCAL_RANK, "0")), torch.cuda.device_count()
    if number >= count:
        raise StudyError(
            f"params.yaml: compute.processes: more than the {count} GPUs that torch sees here: "
            "each process needs one"
        )
    torch.cuda.set_device(number)
    return torch.device("cuda", number)


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
