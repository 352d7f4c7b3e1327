"""Where and with how many threads the models run."""

import torch

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
    return torch.device(compute.device)
