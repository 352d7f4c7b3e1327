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


def packages(lock: str) -> dict[str, str]:
    """Names and versions in the text of a requirements file: {"torch": "2.13.0", …}."""
    pins = (line.split(";")[0].strip() for line in lock.splitlines())
    split = (pin.split("==") for pin in pins if "==" in pin and not pin.startswith("#"))
    return {name.strip(): version.strip() for name, version in split}


def package_changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What changed between two sets of packages: "+ altair 6.3.0", "torch 2.12.0 → 2.13.0"."""
    changes = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None:
            changes.append(f"+ {name} {new}")
        elif new is None:
            changes.append(f"− {name} {old}")
        elif old != new:
            changes.append(f"{name} {old} → {new}")
    return changes
