"""`make gpu-check` on a CPU with tiny sizes: every section runs, and time may run out anywhere."""

import json
import subprocess
import sys
from pathlib import Path

import gpu_check
import pytest

SCRIPT = gpu_check.__file__
LISTED = json.loads(gpu_check.TARGET.read_text())


def run(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, "--tiny", "--device", "cpu", "--out", str(out), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_section_runs_and_every_check_holds(tmp_path):
    done = run(tmp_path / "gpu.json", "--minutes", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert {*found["sections"]} == {"text", "operations", "training", "resumed", "speed"}
    assert not gpu_check.failures(found)
    rows = {
        row["what"]: row for name in found["sections"] for row in found["sections"][name]["rows"]
    }
    assert rows["the killed training went on to the same bits"]["same"] == 6
    for model in ("attn-1l", "attn-2l", "smear-1l"):
        measured = rows[f"measure {model}"]
        assert len(measured["icl_score"]) == measured["snapshots"] == 6
        assert "onset_tokens" in measured


def test_time_that_runs_out_is_told_and_the_file_is_whole(tmp_path):
    done = run(tmp_path / "gpu.json", "--minutes", "0.01")
    assert done.returncode == 1
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert {entry["problem"] for entry in found["sections"].values()} == {"no time was left"}


def test_a_section_that_fails_costs_the_others_nothing(tmp_path):
    entry = {"problem": None}
    command = [sys.executable, "-c", "print('{}'); raise SystemExit('it broke')"]
    assert list(gpu_check._rows(command, 60, entry)) == [{}]
    assert entry["problem"] == "status 1: it broke"


def test_without_a_gpu_it_is_one_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu_check.py"])
    monkeypatch.setattr(gpu_check.torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="torch sees no GPU here"):
        gpu_check.main()


def test_what_was_measured_on_a_gpu_is_listed_with_what_was_not():
    """benchmarks/gpu.json: no check failed; what time cut off says so."""
    for name, entry in LISTED["sections"].items():
        assert all(row.get("ok", True) for row in entry["rows"]), name
        assert (
            entry["problem"] is None or "time" in entry["problem"] or "stopped" in entry["problem"]
        )
