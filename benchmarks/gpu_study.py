"""The throw-away study that `make gpu-check` trains: its sizes, its text, and its stages."""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from ruamel.yaml import YAML

from induction.config import Compute, Evaluation, load_config
from induction.model.compute import set_up_torch
from induction.model.transformer import TransformerSpec

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("attn-2l", "smear-1l", "attn-1l")
ZOO = (*KINDS, *(f"{kind}-s1" for kind in KINDS))  # two seeds of each
Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """device: cpu or cuda. tiny: sizes for a test. work: folder of the throw-away study.
    train_seconds: for the training of all models, compiling left out."""

    device: str
    tiny: bool
    work: Path
    train_seconds: float

    @property
    def spec(self) -> TransformerSpec:
        """Two layers of the paper's width, or of a test's."""
        if self.tiny:
            return TransformerSpec(2, 64, 4, 128, 64, 512, True, False, 1000.0)
        return TransformerSpec(2, 768, 12, 3072, 1024, 8192, True, False, 1000.0)

    @property
    def batch(self) -> int:
        """Windows in a batch. Few: by the literature a change comes after √batch tokens."""
        return 4 if self.tiny else 16

    @property
    def compiles(self) -> bool:
        """On a CPU that costs half a minute a model and shows nothing."""
        return self.device == "cuda"

    def set_up(self) -> torch.device:
        # Beside a GPU a processor only computes what the GPU is compared with.
        threads = (os.cpu_count() or 1) if self.device == "cuda" else 1
        settings: Any = {"device": self.device, "threads": threads, "dtype": "float32"}
        return set_up_torch(Compute(**settings, processes=1, compile=False))


def text(job: Job) -> Iterator[Row]:
    """A throw-away study of Python code that is on every machine with Python: the standard library
    and the packages beside it."""
    shutil.rmtree(job.work, ignore_errors=True)
    own = job.work / "data/own"
    own.mkdir(parents=True)
    (job.work / "src").symlink_to(ROOT / "src")
    for name in ("dvc.yaml", "requirements.lock"):
        shutil.copy(ROOT / name, job.work / name)
    wanted, taken, files = (2_000_000 if job.tiny else 100_000_000), 0, 0
    places = dict.fromkeys(sysconfig.get_path(name) for name in ("stdlib", "purelib"))
    for path in (path for place in places for path in sorted(Path(place).rglob("*.py"))):
        size = path.stat().st_size
        if taken < wanted and 400 <= size <= 500_000:
            shutil.copy(path, own / f"{files:06d}.py")
            taken, files = taken + size, files + 1
    write_params(job, tokens=dict.fromkeys(ZOO, 10**6))
    seconds = [run_stage(job, "fetch"), run_stage(job, "prepare")]
    meta = YAML(typ="safe").load((job.work / "data/tokens/meta.json").read_text())
    yield {
        "what": "text: Python code of this machine's library and packages",
        "characters": meta["train_characters"] + meta["valid_characters"],
        "training_tokens": meta["train_tokens"],
        "d_vocab": meta["d_vocab"],
        "seconds": [round(s, 1) for s in seconds],
        "ok": True,
    }


def evaluation_settings(n_ctx: int, examples: int) -> Evaluation:
    """Those of params/gpu.yaml, scaled to a context."""
    settings = load_config(ROOT / "params/gpu.yaml").evaluation
    quarter = n_ctx // 4
    changes: dict[str, Any] = {
        "examples": examples,
        "pattern_examples": min(16, examples),
        "probe_sequences": 16,
        "probe_period": settings.probe_period if n_ctx > 256 else (6, 10),
        "early": settings.early if n_ctx > 600 else (quarter // 2, quarter),
        "late": settings.late if n_ctx > 600 else (2 * quarter, 3 * quarter),
    }
    return settings.model_copy(update=changes)


def write_params(job: Job, tokens: dict[str, int]) -> None:
    """The preset for a GPU with this job's sizes, models and numbers of tokens."""
    values = YAML(typ="safe").load((ROOT / "params/gpu.yaml").read_text())
    spec = job.spec
    evaluation = evaluation_settings(spec.n_ctx, examples=16 if job.tiny else 256)
    values["compute"] |= {"device": job.device, "compile": job.compiles}
    values["corpus"] |= {"files": ["data/own/*.py"], "datasets": {}, "max_line_length": 500}
    values["corpus"]["validation_fraction"] = 0.05
    values["tokenizer"]["d_vocab"] = spec.d_vocab
    sizes = {"n_ctx": spec.n_ctx, "d_model": spec.d_model, "n_heads": spec.n_heads}
    values["model"] |= {**sizes, "d_mlp": spec.d_mlp}
    values["train"] |= {"batch_tokens": job.batch * spec.n_ctx, "repeat_data": True}
    values["train"]["warmup_steps"] = 100
    values["snapshots"] = {"count": 6 if job.tiny else 24, "linear_until": 2_000_000}
    values["evaluation"] = evaluation.model_dump(mode="json")
    windows = {key: [list(getattr(evaluation, key))] for key in ("early", "late")}
    values["icl_windows"] = windows
    values["ablation"] |= {"snapshots": 2, "examples": 8 if job.tiny else 64}
    values["phase_change"]["min_tokens"] = 1  # with smeared keys it changes in the first million
    values["explorer"]["tokens"] = 16
    if job.tiny:
        values["steering"] |= {"windows": 8, "prompts": 4, "prompt_tokens": 8, "new_tokens": 8}
    values["resources"] = {"default": {"cpus": 1, "gpus": 0}}
    entry = {"attn_only": True, "optimizer": "muon"}
    values["models"] = {
        name: {
            **entry,
            "n_layers": 1 if "1l" in name else 2,
            "smeared_keys": name.startswith("smear"),
            "tokens": count,
            "seed": int(name.endswith("-s1")),
        }
        for name, count in tokens.items()
    }
    with (job.work / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(values, file)


def stage(job: Job, name: str, model: str | None = None, **variables: str) -> subprocess.Popen[str]:
    """A stage as a plain command in the throw-away study; what it says goes to a log."""
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    with _log(job, name, model).open("w") as log:
        return subprocess.Popen(
            [sys.executable, "-m", f"induction.stages.{name}", *([model] if model else [])],
            cwd=job.work,
            env={**os.environ, "PYTHONPATH": path, **variables},
            stdout=log,
            stderr=subprocess.STDOUT,
            text=True,
        )


def run_stage(job: Job, name: str, *models: str) -> float:
    """Run it to its end, for several models side by side; its seconds.

    RuntimeError with its last lines when it fails.
    """
    begun = time.monotonic()
    running = {model: stage(job, name, model) for model in models or (None,)}
    failed = [model for model, process in running.items() if process.wait()]
    for model in failed:
        lines = said(job, name, model).strip().splitlines() or ["said nothing"]
        raise RuntimeError(f"{name} {model or ''}: {' | '.join(lines[-3:])}")
    return time.monotonic() - begun


def said(job: Job, name: str, model: str | None = None) -> str:
    """What the last run of a stage printed."""
    return _log(job, name, model).read_text(errors="replace")


def _log(job: Job, name: str, model: str | None) -> Path:
    return job.work / f"{name}-{model}.log"
