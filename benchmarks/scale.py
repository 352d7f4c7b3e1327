"""How memory, time and disk grow with the work: `make bench-scale`.

Each quantity (text, tokens, snapshots, evaluation examples) is made 1, 4 and 16 times as large
while the others stay, and every stage that it touches runs in a process of its own, in a throw-away
folder. Writes benchmarks/scale.json and prints a table: peak memory of the process in MB, seconds,
and MB on disk.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
FACTORS = (1, 4, 16)
MODEL = "attn-2l"
# The smoke preset's shapes, with enough to do at 1x that growth shows beside PyTorch's own 0.3 GB.
BASE = {"text": 1, "tokens": 400_000, "snapshots": 8, "examples": 64}
STAGES = {
    "text": ("prepare",),
    "tokens": ("train",),
    "snapshots": ("train", "measure", "ablate"),
    "examples": ("measure", "ablate"),
}
OUTPUTS = {
    "prepare": "data/tokens",
    "train": f"data/snapshots/{MODEL}",
    "measure": f"data/measurements/{MODEL}",
    "ablate": f"data/ablations/{MODEL}",
}


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory(prefix="induction-scale-") as scratch:
        root = _checkout(Path(scratch))
        for quantity, stages in STAGES.items():
            for factor in FACTORS:
                _set_up(root, {**BASE, quantity: BASE[quantity] * factor}, factor, quantity)
                for stage in stages if quantity == "text" else ("train", "measure", "ablate"):
                    row = _run(root, stage)
                    if stage in stages:
                        rows.append({"quantity": quantity, "factor": factor, **row})
                        print(_line(rows[-1]), flush=True)
    machine = {"system": platform.system(), "machine": platform.machine(), "cores": os.cpu_count()}
    target = ROOT / "benchmarks" / "scale.json"
    target.write_text(json.dumps({"machine": machine, "rows": rows}, indent=2) + "\n")
    print("\n" + _table(rows))


def _checkout(root: Path) -> Path:
    for name in ("dvc.yaml", "requirements.lock"):
        shutil.copyfile(ROOT / name, root / name)
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    return root


def _set_up(root: Path, sizes: dict[str, int], factor: int, quantity: str) -> None:
    """Parameters of one size, and the corpus, which is this package's own source."""
    yaml = YAML(typ="safe", pure=True)
    params: dict[str, Any] = yaml.load((ROOT / "params" / "smoke.yaml").read_text())
    params["corpus"] |= {"wheels": False, "files": ["text/*.py"], "min_characters": 1}
    params["train"]["repeat_data"] = True
    params["models"] = {MODEL: params["models"][MODEL] | {"tokens": sizes["tokens"]}}
    params["snapshots"]["count"] = params["ablation"]["snapshots"] = sizes["snapshots"]
    params["evaluation"]["examples"] = params["ablation"]["examples"] = sizes["examples"]
    with (root / "params.yaml").open("w") as file:
        yaml.dump(params, file)
    if quantity == "text" or not (root / "data/tokens").is_dir():
        shutil.rmtree(root / "text", ignore_errors=True)
        (root / "text").mkdir()
        for copy in range(16 * (factor if quantity == "text" else 1)):
            for number, path in enumerate(sorted((root / "src").rglob("*.py"))):
                text = f"# copy {copy}\n{path.read_text()}"  # a copy as it is would be dropped
                (root / "text" / f"{copy}-{number}.py").write_text(text)
        _run(root, "fetch")
        if quantity != "text":
            _run(root, "prepare")


def _run(root: Path, stage: str) -> dict[str, Any]:
    """Run a stage anew: its peak resident memory, seconds, and what it leaves on disk."""
    if stage in OUTPUTS:
        shutil.rmtree(root / OUTPUTS[stage], ignore_errors=True)
    command = [sys.executable, "-m", f"induction.stages.{stage}"]
    command += [MODEL] if stage in ("train", "measure", "ablate") else []
    environment = {**os.environ, "PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    with (root / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=root, env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{stage}: {(root / 'log.txt').read_text()[-2000:]}")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB here
    folder = root / OUTPUTS.get(stage, "data/raw")
    disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return {
        "stage": stage,
        "memory_mb": round(usage.ru_maxrss * unit / 1e6, 1),
        "seconds": round(time.perf_counter() - start, 1),
        "disk_mb": round(disk / 1e6, 2),
    }


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['quantity']:10} x{row['factor']:<3} {row['stage']:8} {row['memory_mb']:7.0f} MB "
        f"{row['seconds']:7.1f} s {row['disk_mb']:8.2f} MB on disk"
    )


def _table(rows: list[dict[str, Any]]) -> str:
    """A row for each quantity and stage; in each cell memory, seconds and disk at one factor."""
    cells = {(r["quantity"], r["stage"], r["factor"]): r for r in rows}
    lines = ["| more | stage | " + " | ".join(f"{f}×" for f in FACTORS) + " |"]
    lines.append("|---|---|" + "---|" * len(FACTORS))
    for quantity, stage in dict.fromkeys((r["quantity"], r["stage"]) for r in rows):
        found = [cells[quantity, stage, factor] for factor in FACTORS]
        shown = [
            f"{r['memory_mb']:.0f} MB, {r['seconds']:.0f} s, {r['disk_mb']:.1f} MB" for r in found
        ]
        lines.append(f"| {quantity} | {stage} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
