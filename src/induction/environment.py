"""What the numbers were made with, for manifests and the report."""

import platform
from pathlib import Path

from induction.files import sha256
from induction.processor import instructions, kernels, processor


def environment(lock: Path) -> dict[str, str]:
    """Versions and machine type that a bit-identical re-run needs; no host or user names.

    With the name of the `gpu` where this process works on one.
    """
    import torch  # here alone: it takes a second, which readers of lock files need not wait

    found = {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "system": platform.system(),
        "machine": platform.machine(),
        "processor": processor(),
        "cpu_capability": instructions(),
        "kernels": kernels(),
        "requirements_lock_sha256": sha256(lock) if lock.is_file() else "",
    }
    if torch.cuda.is_initialized():
        found["gpu"] = torch.cuda.get_device_name()
    return found


def packages(lock: str) -> dict[str, str]:
    """Names and versions in the text of a requirements file: {"torch": "2.13.0", …}.

    A package that is pinned for two platforms has both versions, with a comma.
    """
    found: dict[str, str] = {}
    for line in lock.splitlines():
        name, pinned, version = line.split("#")[0].split(";")[0].partition("==")
        if pinned:
            name, version = name.strip().lower(), version.strip()
            found[name] = f"{found[name]}, {version}" if name in found else version
    return found


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
