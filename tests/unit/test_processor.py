"""The kind of processor, as several systems describe theirs."""

import subprocess
from pathlib import Path

import pytest

from induction.processor import instructions, kind, processor, products

INTEL = """processor\t: 0
vendor_id\t: GenuineIntel
cpu family\t: 6
model\t\t: 143
model name\t: Intel(R) Xeon(R) Processor @ 2.00GHz
flags\t\t: fpu avx2 avx512f

processor\t: 1
vendor_id\t: Another
"""
ARM = "processor : 0\nCPU implementer : 0x41\nCPU part : 0xd40\n"


@pytest.mark.parametrize(
    ("cpuinfo", "said"),
    [
        (INTEL, "GenuineIntel family 6 model 143"),
        (INTEL.replace("143", "106"), "GenuineIntel family 6 model 106"),
        (INTEL.replace("GenuineIntel", "AuthenticAMD"), "AuthenticAMD family 6 model 143"),
        (ARM, "ARM implementer 0x41 part 0xd40"),
    ],
)
def test_make_and_model_are_read_where_linux_tells_them(cpuinfo, said, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr("induction.processor._CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    assert processor() == said
    assert kind() == f"{said} ({instructions()})"


def test_macos_is_asked_and_a_silent_system_is_named_somehow(tmp_path, monkeypatch):
    monkeypatch.setattr("induction.processor._CPUINFO", Path(tmp_path / "none"))
    done = subprocess.CompletedProcess([], 0, stdout="Apple M2\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    assert processor() == "Apple M2"

    def fails(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(subprocess, "run", fails)
    assert processor()


def test_instructions_that_were_chosen_by_hand_count(monkeypatch):
    before = instructions()
    monkeypatch.setenv("MKL_ENABLE_INSTRUCTIONS", "AVX2")
    assert instructions() == f"{before} MKL_ENABLE_INSTRUCTIONS=AVX2"


@pytest.mark.parametrize(
    ("cpuinfo", "chosen"),
    [
        (INTEL, "pytorch"),
        (INTEL.replace(" avx512f", ""), "pytorch"),
        (INTEL.replace("GenuineIntel", "AuthenticAMD"), "onednn"),
        (INTEL.replace("GenuineIntel", "Other"), "onednn"),
        (INTEL.replace("GenuineIntel", "AuthenticAMD").replace(" avx512f", ""), "pytorch"),
        (ARM, "onednn"),
        ("", "onednn"),
    ],
)
def test_make_and_widest_instructions_decide_on_products(cpuinfo, chosen, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr("induction.processor._CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.delenv("INDUCTION_PRODUCTS", raising=False)
    assert products() == chosen
    for overruled in ("onednn", "pytorch"):
        monkeypatch.setenv("INDUCTION_PRODUCTS", overruled)
        assert products() == overruled
