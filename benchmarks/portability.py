"""How far the headline numbers move on another kind of processor: `make bench-portability`.

The same code, data, parameters and environment give the same bits on the same kind of processor.
Another kind adds numbers in another order, and training amplifies the last bit. Here a model is
trained and measured again with PyTorch's kernels for an older processor, in a throw-away folder,
and its headline numbers are set against those of the study. Writes data/portability.json,
which the report quotes.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from math import log
from pathlib import Path
from typing import Any

from induction.config import load_config
from induction.environment import environment
from induction.files import read_json, write_json
from induction.paths import StudyPaths, find_study
from induction.rules.curves import Curves, load_curves
from induction.rules.phase_change import find_phase_change

# What an older processor would make PyTorch and its matrix library choose.
OLDER = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "NUMBA_CPU_NAME": "haswell",
}


def main(model: str = "attn-2l") -> None:
    paths = find_study()
    row = read_json(paths.metrics)["models"][model]
    with tempfile.TemporaryDirectory(prefix="induction-portability-") as scratch:
        root = Path(scratch)
        for name in ("dvc.yaml", "params.yaml", "requirements.lock"):
            shutil.copyfile(paths.root / name, root / name)
        # Fingerprints are over code, so it has to be there.
        shutil.copytree(paths.root / "src", root / "src")
        shutil.copytree(paths.tokens, root / "data" / "tokens")
        for stage in ("train", "measure"):
            command = [sys.executable, "-m", f"induction.stages.{stage}", model]
            subprocess.run(command, cwd=root, env={**os.environ, **OLDER}, check=True)
        other = StudyPaths(root)
        made = read_json(other.measurements(model) / "manifest.json")["environment"]
        again = headline(other, load_curves(other, model))
    here = {key: row[key] for key in again}
    result = {
        "model": model,
        "here": environment(paths.lock)["cpu_capability"],
        "there": made["cpu_capability"],
        "study": here,
        "again": again,
        "onset_difference": log(again["onset_tokens"] / here["onset_tokens"])
        if again["onset_tokens"] and here["onset_tokens"]
        else None,
    }
    write_json(paths.portability, result)
    print(json.dumps(result, indent=2))


def headline(paths: StudyPaths, curves: Curves) -> dict[str, Any]:
    """Onset, and the scores of the last snapshot."""
    change = find_phase_change(
        curves.tokens, curves.icl_score, load_config(paths.params).phase_change
    )
    return {
        "onset_tokens": round(change.onset_tokens) if change else None,
        "icl_score": round(float(curves.icl_score[-1]), 4),
        "loss": round(float(curves.loss[-1]), 4),
        "max_prefix_matching": round(float(curves.best_head("prefix_matching")[-1]), 4),
        "max_previous_token": round(float(curves.best_head("previous_token")[-1]), 4),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
