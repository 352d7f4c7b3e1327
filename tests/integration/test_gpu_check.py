"""`make gpu-check` on a CPU with tiny sizes: every section runs, time may run out at any point."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import gpu_check
import gpu_sections
import numpy as np
import pytest
import torch
from gpu_study import Job

SCRIPT = gpu_check.__file__
LISTED = [json.loads(path.read_text()) for path in gpu_check.TARGET.parent.glob("gpu*.json")]
CPU = torch.device("cpu")


def run(out: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, SCRIPT, "--tiny", "--device", "cpu", "--out", str(out), *arguments]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_section_runs_and_every_check_holds(tmp_path):
    done = run(tmp_path / "gpu.json", "--minutes", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())["sections"]
    assert {*found} == {"text", "operations", "training", "resumed", "speed"}
    rows = {row["what"]: row for entry in found.values() for row in entry["rows"]}
    went_on = rows["the killed training went on to the same bits"]
    assert went_on["same"] == went_on["snapshots"] == 6
    assert 0 < went_on["went_on_after_step"] < went_on["steps"]
    for model in ("attn-1l", "attn-2l", "smear-1l"):
        measured = rows[f"measure {model}"]
        assert len(measured["icl_score"]) == measured["snapshots"] == 6
        assert "onset_tokens" in measured


def test_time_that_runs_out_is_told_and_the_file_is_whole(tmp_path):
    done = run(tmp_path / "gpu.json", "--minutes", "0.01")
    assert done.returncode == 1
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert {entry["problem"] for entry in found["sections"].values()} == {"no time was left"}


def test_a_section_that_fails_costs_the_others_nothing():
    entry = {"problem": None}
    command = [sys.executable, "-c", "print('{}'); raise SystemExit('it broke')"]
    assert list(gpu_check._rows(command, 60, entry)) == [{}]
    assert entry["problem"] == "status 1: it broke"


def test_a_section_that_hangs_is_stopped_with_what_it_started(tmp_path):
    """The section starts another process and waits for it; neither outlives the section's time."""
    script = (
        "import subprocess, pathlib; child = subprocess.Popen(['sleep', '600']);"
        f"pathlib.Path({str(tmp_path / 'child')!r}).write_text(str(child.pid));"
        "print('{}', flush=True); print('{\"half', end='', flush=True); child.wait()"
    )
    entry = {"problem": None}
    assert list(gpu_check._rows([sys.executable, "-c", script], 5, entry)) == [{}]
    assert entry["problem"] == "stopped after its 5 s"
    assert gone(int((tmp_path / "child").read_text()))


def gone(process: int) -> bool:
    """Whether it ends, or only waits to be collected by whoever that is here."""
    for _ in range(600):
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return True
        state = Path(f"/proc/{process}/stat")
        if state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_losses_of_another_model_do_not_pass_for_the_same(dtype, monkeypatch):
    spec, made = Job("cpu", True, Path(), 0.0).spec, gpu_sections.made
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, spec.d_vocab, (2, spec.n_ctx + 1), generator=random)

    def other(*arguments):
        model = made(*arguments)
        with torch.no_grad():
            model.W_E.copy_(model.W_E.flip(0))  # every token has the embedding of another
        return model

    def near() -> bool:
        same, near = gpu_sections.checked(spec, tokens, CPU, dtype, on_cpu, "a model")
        assert same["ok"]
        return near["ok"]

    on_cpu, _ = gpu_sections.trained(spec, tokens, CPU, "float32", compiled=False)
    assert near()
    monkeypatch.setattr(gpu_sections, "made", other)
    assert not near()


@pytest.mark.parametrize(
    ("first", "second", "ok"),
    [
        ([1.0, np.nan], [1.001, np.nan], True),
        ([1.0, 2.0], [1.0, 2.1], False),
        ([1.0, 2.0], [1.0, np.nan], False),
        ([1.0, np.nan], [1.0, 2.0], False),
        ([np.nan], [np.nan], False),
    ],
)
def test_what_is_no_number_on_one_side_or_on_both_is_not_taken_for_agreement(first, second, ok):
    (row,) = gpu_sections.compared("scores", {"a": np.array(first)}, {"a": np.array(second)})
    assert row["ok"] is ok
    json.dumps(row, allow_nan=False)


def test_without_a_gpu_it_is_one_line(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["gpu_check.py"])
    monkeypatch.setattr(gpu_check.torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="torch sees no GPU here"):
        gpu_check.main()


def test_what_was_measured_on_a_gpu_is_listed_with_what_was_not():
    """benchmarks/gpu*.json: no check failed. A section that broke in one run is whole in the other,
    but for what time cut off, which says so."""
    for name in gpu_sections.SECTIONS:
        entries = [run["sections"][name] for run in LISTED]
        assert all(row.get("ok", True) for entry in entries for row in entry["rows"]), name
        assert any(
            entry["rows"] and (entry["problem"] or "stopped").startswith("stopped")
            for entry in entries
        ), name
