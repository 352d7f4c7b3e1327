"""Everything that only a GPU can show, in one bounded run: `make gpu-check`.

Needs PyTorch and the packages of the study, and no network: the text is made from the Python code
of the machine. Each section of gpu_sections.py runs in a process of its own, so that a failure or
a hang in one costs the others nothing. What is found is written after every row to
benchmarks/gpu.json, whole at any moment. Ends with status 1 when a check failed.
"""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import torch
from gpu_sections import SECTIONS
from gpu_study import Job

from induction.files import write_json

TARGET = Path(__file__).parent / "gpu.json"
# Shares of the whole time; what one does not use is left to those after it.
SHARES = {"text": 0.2, "operations": 0.25, "training": 0.5, "resumed": 0.2, "speed": 1.0}


def main() -> None:
    arguments = _arguments()
    train_seconds = 0.0 if arguments.tiny else arguments.minutes * 60 / 10
    job = Job(arguments.device, arguments.tiny, arguments.work, train_seconds)
    if arguments.section:
        _section(job, arguments.section)
        return
    if arguments.device == "cuda" and not torch.cuda.is_available():
        sys.exit("make gpu-check: torch sees no GPU here (DEVICE=cpu is for trying the script)")
    end = time.monotonic() + arguments.minutes * 60
    found: dict[str, Any] = {"about": _about(arguments), "sections": {}}
    with tempfile.TemporaryDirectory() as folder:
        for name in SECTIONS:
            left = end - time.monotonic()
            seconds = min(left, SHARES[name] * arguments.minutes * 60)
            begun = time.monotonic()
            entry: dict[str, Any] = {"rows": [], "problem": None, "seconds": 0.0}
            found["sections"][name] = entry
            command = [sys.executable, __file__, *sys.argv[1:]]
            command += ["--section", name, "--work", f"{folder}/study"]
            for row in _rows(command, seconds, entry):
                entry["rows"].append(row)
                entry["seconds"] = round(time.monotonic() - begun, 1)
                write_json(arguments.out, found)
                print(f"[{time.strftime('%H:%M:%S')}] {name}: {_short(row)}", flush=True)
            entry["seconds"] = round(time.monotonic() - begun, 1)
            if entry["problem"]:
                print(f"[{time.strftime('%H:%M:%S')}] {name}: {entry['problem']}", flush=True)
            write_json(arguments.out, found)
    failed = failures(found)
    print(f"{arguments.out}: " + (f"{len(failed)} failed" if failed else "all checks hold"))
    for line in failed:
        print(f"  {line}")
    sys.exit(bool(failed))


def failures(found: dict[str, Any]) -> list[str]:
    """What did not hold, a line each."""
    lines = []
    for name, entry in found["sections"].items():
        lines += [f"{name}: {r['what']}" for r in entry["rows"] if not r.get("ok", True)]
        lines += [f"{name}: {entry['problem']}"] if entry["problem"] else []
    return lines


def _rows(command: list[str], seconds: float, entry: dict[str, Any]):
    """The rows of a section as it prints them, each as JSON on a line; notes its end in entry."""
    if seconds < 5:
        entry["problem"] = "no time was left"
        return
    late = threading.Event()
    with (
        tempfile.TemporaryFile("w+") as errors,
        # A group of its own, so that the stages that a section started end with it.
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, process_group=0
        ) as process,
    ):

        def end() -> None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

        def stop() -> None:
            late.set()
            end()

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            assert process.stdout
            for line in process.stdout:
                if line.startswith("{") and line.endswith("\n"):
                    yield json.loads(line)
            code = process.wait()
        finally:
            timer.cancel()
            if process.poll() is None:
                end()
        errors.seek(0)
        lines = errors.read().strip().splitlines()
        if code and late.is_set():
            entry["problem"] = f"stopped after its {seconds:.0f} s"
        elif code:
            entry["problem"] = f"status {code}: {' | '.join(lines[-4:])}"


def _section(job: Job, name: str) -> None:
    for row in SECTIONS[name](job):
        print(json.dumps(row), flush=True)


def _short(row: dict[str, Any]) -> str:
    mark = ("ok" if row["ok"] else "FAILED") if "ok" in row else ""
    rest = {k: v for k, v in row.items() if k not in ("what", "ok") and not isinstance(v, list)}
    return f"{mark} {row['what']} {rest or ''}".strip()


def _about(arguments: argparse.Namespace) -> dict[str, Any]:
    gpu = torch.cuda.get_device_name() if arguments.device == "cuda" else None
    return {
        "date": date.today().isoformat(),
        "gpu": gpu,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "minutes": arguments.minutes,
        "tiny": arguments.tiny,
        "shape": vars(Job(arguments.device, arguments.tiny, arguments.work, 0).spec),
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=8.0, help="at most so long in all")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="sizes for a first look or a test")
    parser.add_argument("--out", type=Path, default=TARGET)
    parser.add_argument("--section", choices=SECTIONS, help="this one alone, rows on output")
    parser.add_argument("--work", type=Path, default=Path("/nonexistent"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
