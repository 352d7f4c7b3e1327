"""What the numbers were made with, for manifests and the report."""

import platform
from pathlib import Path

import torch

from induction.files import sha256


def environment(lock: Path) -> dict[str, str]:
    """Versions and machine type that a bit-identical re-run needs; no host or user names."""
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "requirements_lock_sha256": sha256(lock) if lock.is_file() else "",
    }
