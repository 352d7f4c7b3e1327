"""What the numbers were made with, for manifests and the report."""

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from induction.files import sha256
from induction.processor import instructions, processor, products


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
        "products": products(),
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


@dataclass(frozen=True)
class Change:
    """A package by its version in each of two sets, or a source of text by its digest; None where
    it is missing."""

    name: str
    a: str | None
    b: str | None


def changes(a: Mapping[str, str], b: Mapping[str, str]) -> list[Change]:
    """What differs between two sets, by name."""
    return [
        Change(name, a.get(name), b.get(name))
        for name in sorted(a.keys() | b.keys())
        if a.get(name) != b.get(name)
    ]
