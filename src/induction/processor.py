"""The kind of processor, on which the last bits of every number depend.

Libraries choose their code by make, model and instructions, and block their products by the sizes
of its caches: two processors of one kind give the same bits, two of different kinds may not.
"""

import os
import platform
import subprocess
from contextlib import suppress
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_X86 = ("vendor_id", "cpu family", "model")
_ARM = ("CPU implementer", "CPU part")
_CHOICES = (
    *("MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA"),
    *("NUMBA_CPU_NAME", "OPENBLAS_CORETYPE"),
)
"""Environment variables by which a user tells libraries to leave instructions unused."""

PRODUCTS_VARIABLE = "INDUCTION_PRODUCTS"
"""Environment variable that overrules `products`, for measurements of the other choice."""


def processor() -> str:
    """Make and model, such as "AuthenticAMD family 25 model 17"; what the system calls it where
    it does not say these."""
    facts = _facts()
    if all(key in facts for key in _X86):
        make, family, model = (facts[key] for key in _X86)
        return f"{make} family {family} model {model}"
    if all(key in facts for key in _ARM):
        return "ARM implementer {} part {}".format(*(facts[key] for key in _ARM))
    with suppress(OSError, subprocess.SubprocessError):
        asked = ["sysctl", "-n", "machdep.cpu.brand_string"]  # macOS
        told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
        if told:
            return told
    return platform.processor() or platform.machine()


def instructions() -> str:
    """The vector instructions that PyTorch uses, and what a user told other libraries to use."""
    import torch  # here alone: it takes a second, which some readers need not wait

    chosen = [f"{name}={os.environ[name]}" for name in _CHOICES if os.environ.get(name)]
    return " ".join([torch.backends.cpu.get_cpu_capability(), *chosen])


def products() -> str:
    """Whose matrix products models use on this processor: "onednn" or "pytorch".

    oneDNN's use the widest instructions of every make; PyTorch's own are MKL's, the faster ones on
    Intel's processors and where nothing is wider than AVX2, which is all that MKL uses of other
    makes. It hangs on these alone, not on a timing, so that the same kind of processor gives the
    same bits.
    """
    chosen = os.environ.get(PRODUCTS_VARIABLE)
    if chosen in ("onednn", "pytorch"):
        return chosen
    facts = _facts()
    x86, wide = "vendor_id" in facts, "avx512f" in facts.get("flags", "").split()
    return "pytorch" if x86 and (facts["vendor_id"] == "GenuineIntel" or not wide) else "onednn"


def kind() -> str:
    """Both, in one line."""
    return f"{processor()} ({instructions()})"


def _facts() -> dict[str, str]:
    """What Linux says of its first processor; nothing elsewhere."""
    try:
        cpuinfo = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    first = cpuinfo.strip().partition("\n\n")[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}
