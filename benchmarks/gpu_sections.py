"""What `make gpu-check` looks at, one function a section: it yields a row for each thing found.

A row says `what` was looked at and, where it is a check, whether it is `ok`. Every section runs in
a process of its own (see gpu_check.py), on any device, so that the tests can run all on a CPU.
Shape suffixes as in transformer.py.
"""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gpu_speed
import numpy as np
import torch
from flop import training_flop
from ruamel.yaml import YAML
from torch import Tensor

from induction.ablate.evaluator import KINDS, Ablation, ablated_losses
from induction.config import Compute, Evaluation, load_config
from induction.measure import ARRAYS, CIRCUITS, HEADS
from induction.measure.evaluation import make_evaluation
from induction.model.compute import set_up_torch
from induction.model.transformer import Transformer, TransformerSpec, initialise
from induction.paths import StudyPaths
from induction.study.curves import load_curves
from induction.study.phase_change import find_phase_change, first_crossing
from induction.train.loop import loss_function, train
from induction.train.optimizer import make_optimizers

ROOT = Path(__file__).resolve().parent.parent
ZOO = ("attn-2l", "smear-1l", "attn-1l")
Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """device: cpu or cuda. tiny: sizes for a test. work: folder of the throw-away study.
    train_seconds: for the training of each model, compiling left out."""

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
        settings: Any = {"device": self.device, "threads": 1, "dtype": "float32"}
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
    wanted, taken, files = (2_000_000 if job.tiny else 45_000_000), 0, 0
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


def operations(job: Job) -> Iterator[Row]:
    """Every operation of training, measuring and ablating: on the device without an error, twice
    with the same bits, and as on a CPU."""
    device = job.set_up()
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, job.spec.d_vocab, (2, job.spec.n_ctx + 1), generator=random)
    kinds = {
        "attention only": job.spec,
        "with MLP": replace(job.spec, attn_only=False),
        "smeared keys": replace(job.spec, smeared_keys=True),
    }
    on_cpu = {
        name: trained(spec, tokens, torch.device("cpu"), "float32", compiled=False)[0]
        for name, spec in kinds.items()
    }
    for dtype in ("float32", "bfloat16"):
        for name, spec in kinds.items():
            yield from checked(spec, tokens, device, dtype, on_cpu[name], name)
    yield from measured(job, device)
    for name, spec in kinds.items() if job.compiles else ():
        yield from checked(spec, tokens, device, "bfloat16", on_cpu[name], name, compiled=True)


def checked(
    spec: TransformerSpec,
    tokens: Tensor,
    device: torch.device,
    dtype: str,
    on_cpu: list[float],
    name: str,
    *,
    compiled: bool = False,
) -> Iterator[Row]:
    """Training of one kind of model: whether it repeats itself, and agrees with the CPU."""
    how = f"{name}, {dtype}, {'compiled' if compiled else 'eager'}"
    found = [trained(spec, tokens, device, dtype, compiled=compiled) for _ in range(2)]
    same = all(torch.equal(a, b) for a, b in zip(found[0][1], found[1][1], strict=True))
    yield {"what": f"three steps twice give the same bits: {how}", "ok": same}
    distance = max(abs(a - b) for a, b in zip(found[0][0], on_cpu, strict=True))
    limit = 1e-3 if dtype == "float32" else 3e-2
    what = f"losses of three steps as on a CPU, within {limit} nats: {how}"
    yield {"what": what, "distance": distance, "ok": distance <= limit}


def trained(
    spec: TransformerSpec, tokens: Tensor, device: torch.device, dtype: str, *, compiled: bool
) -> tuple[list[float], list[Tensor]]:
    """Losses and weights after three steps with Muon."""
    settings = load_config(ROOT / "params/gpu.yaml").train
    model = made(spec, device)
    losses: list[float] = []
    train(
        model,
        make_optimizers(model, "muon", settings),
        iter([tokens] * 3),
        range(3),
        settings,
        lambda steps: losses.extend(step.loss for step in steps),
        loss_of=loss_function(model, dtype, compiled=compiled),
    )
    return losses, [weight.detach().cpu() for weight in model.parameters()]


def made(spec: TransformerSpec, device: torch.device) -> Transformer:
    model = Transformer(spec)
    initialise(model, 0, 0.3)
    return model.to(device)


def measured(job: Job, device: torch.device) -> Iterator[Row]:
    """Every measurement and kind of ablation on the device, beside the CPU's."""
    spec = job.spec
    settings = evaluation_settings(spec.n_ctx, examples=4)
    valid = np.random.default_rng(0).integers(1, spec.d_vocab, 40 * spec.n_ctx).astype(np.uint16)
    valid[:: 4 * spec.n_ctx] = 0
    evaluation = make_evaluation(valid, np.arange(spec.d_vocab), 0, spec.n_ctx, settings)
    models = [made(spec, place) for place in (torch.device("cpu"), device)]
    with torch.no_grad():  # so that heads look and write somewhere
        for model in models:
            random = torch.Generator().manual_seed(1)
            for weight in model.parameters():
                if weight.ndim == 2:
                    weight += torch.randn(weight.shape, generator=random).to(weight.device) * 0.02
    for measure in (*ARRAYS, *HEADS):
        first, second = (measure(model, evaluation) for model in models)
        yield from compared(measure.__module__.rpartition(".")[2], first, second)
    scores = np.full((spec.n_layers, spec.n_heads), 0.5)
    yield from compared("weight_circuits", *(CIRCUITS(model, scores) for model in models))
    ablations = [Ablation(frozenset({(0, 1)}), kind) for kind in KINDS]
    first, second = (ablated_losses(model, evaluation, ablations) for model in models)
    for ablation in ablations:
        pair = ({"": found.ablated[ablation]} for found in (first, second))
        yield from compared(f"ablation, {ablation.kind}", *pair)


def compared(name: str, first: Any, second: Any) -> Iterator[Row]:
    """One row: the largest distance of any array, NaN only beside NaN."""
    distance = 0.0
    for key, expected in first.items():
        a, b = (np.asarray(value, dtype=np.float64) for value in (expected, second[key]))
        apart = np.where(np.isnan(a) & np.isnan(b), 0.0, np.abs(a - b))
        distance = max(distance, float(apart.max(initial=0.0)))  # NaN stays NaN, and is not ok
    ok = distance <= 2e-3
    yield {"what": f"as on a CPU, within 0.002: {name}", "distance": distance, "ok": ok}


def training(job: Job) -> Iterator[Row]:
    """The zoo at the paper's width in bfloat16, compiled, by the study's own stage, for as many
    tokens as the time allows; then its measurements, ablations and phase change by the rule."""
    rate, peak = tokens_per_second(job)
    flop = rate * training_flop(job.spec)
    yield {
        "what": "training attn-2l in bfloat16, compiled, after warming up",
        "tokens_per_second": round(rate),
        "TFLOP_per_second": round(flop / 1e12, 2),
        "TFLOP_per_second_of_products": round(peak / 1e12, 2),
        "share_of_peak": round(flop / peak, 4),
    }
    step = job.batch * job.spec.n_ctx
    steps = max(24, int(rate * job.train_seconds / step))
    write_params(job, tokens=dict.fromkeys(ZOO, steps * step))
    for name in ZOO:
        seconds = run_stage(job, "train", name)
        row = {"what": f"train {name}", "tokens": steps * step, "seconds": round(seconds, 1)}
        yield {**row, "ok": True}
        seconds = run_stage(job, "measure", name)
        curves = load_curves(StudyPaths(job.work), name)
        config = load_config(job.work / "params.yaml")
        change = find_phase_change(curves.tokens, curves.icl_score, config.phase_change)
        best = curves.best_head("prefix_matching")
        yield {
            "what": f"measure {name}",
            "snapshots": len(curves.tokens),
            "seconds": round(seconds, 1),
            "tokens": [int(n) for n in curves.tokens],
            "icl_score": [round(float(score), 4) for score in curves.icl_score],
            "prefix_matching": [round(float(score), 4) for score in best],
            "onset_tokens": change and round(change.onset_tokens),
            "change_complete": change and change.complete,
            "heads_formed_tokens": first_crossing(curves.tokens, best, config.verdicts.head_score),
            "ok": bool(np.isfinite(curves.icl_score).all()),
        }
    seconds = run_stage(job, "ablate", ZOO[0])
    what = f"ablate {ZOO[0]}: two snapshots, every head four ways"
    yield {"what": what, "seconds": round(seconds, 1), "ok": True}


def tokens_per_second(job: Job) -> tuple[float, float]:
    """Of the training loop in bfloat16, compiled, without what a stage does beside it; and the
    FLOP/s that large products in bfloat16 reach on the same device."""
    bench = gpu_speed.Bench(job.set_up(), windows=job.batch, steps=4 if job.tiny else 20)
    bench = replace(bench, product=64) if job.tiny else bench
    work, products = (
        gpu_speed.ours(bench, job.spec, compiled=job.compiles),
        gpu_speed.products(bench),
    )
    work()
    products()
    rate = bench.steps * job.batch * job.spec.n_ctx / bench.seconds(work)
    return rate, 2 * bench.product**3 * bench.steps / bench.seconds(products)


def resumed(job: Job) -> Iterator[Row]:
    """A training that is killed and goes on, beside one that is not: the same bits."""
    step = job.batch * job.spec.n_ctx
    steps = 40 if job.tiny else 300
    write_params(job, tokens={"whole": steps * step, "killed": steps * step})
    run_stage(job, "train", "whole")
    begun = time.monotonic()
    with stage(job, "train", "killed", INDUCTION_SAVE_SECONDS="0.2") as process:
        while not list(job.work.glob(".scratch/unfinished/**/states/0*")):
            if process.poll() is not None or time.monotonic() - begun > 120:
                break
            time.sleep(0.05)
        cut_off = process.poll() is None
        process.send_signal(signal.SIGKILL)
    yield {"what": "a training was killed on its way", "ok": cut_off}
    run_stage(job, "train", "killed")
    folders = [job.work / "data/snapshots" / name for name in ("whole", "killed")]
    names = sorted(path.name for path in folders[0].glob("*.safetensors"))
    same = [name for name in names if len({(f / name).read_bytes() for f in folders}) == 1]
    yield {
        "what": "the killed training went on to the same bits",
        "snapshots": len(names),
        "same": len(same),
        "ok": bool(names) and same == names,
    }


def speed(job: Job) -> Iterator[Row]:
    """The rows of gpu_speed.py: against a plain set-up, the GPU's own peak, and as a stack."""
    if not job.compiles:
        yield {"what": "speed is measured on a GPU alone: tests/test_gpu_speed.py has the rows"}
        return
    bench = gpu_speed.Bench(job.set_up(), steps=10)
    yield from gpu_speed.rows(bench, job.spec if job.tiny else gpu_speed.PAPER)


SECTIONS: dict[str, Callable[[Job], Iterator[Row]]] = {
    section.__name__: section for section in (text, operations, training, resumed, speed)
}
"""In the order of running: what matters most comes first, for time may run out."""


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
    values["phase_change"]["min_tokens"] = 1 if job.tiny else 500_000
    values["explorer"]["tokens"] = 16
    values["resources"] = {"default": {"cpus": 1, "gpus": 0}}
    entry = {"attn_only": True, "optimizer": "muon", "seed": 0}
    values["models"] = {
        name: {
            **entry,
            "n_layers": 1 if "1l" in name else 2,
            "smeared_keys": name.startswith("smear"),
            "tokens": count,
        }
        for name, count in tokens.items()
    }
    with (job.work / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(values, file)


def stage(job: Job, name: str, *model: str, **variables: str) -> subprocess.Popen[str]:
    """A stage as a plain command in the throw-away study."""
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", f"induction.stages.{name}", *model],
        cwd=job.work,
        env={**os.environ, "PYTHONPATH": path, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_stage(job: Job, name: str, *model: str) -> float:
    """Run it to its end; its seconds. RuntimeError with its last line when it fails."""
    begun = time.monotonic()
    with stage(job, name, *model) as process:
        output, _ = process.communicate()
    if process.returncode:
        lines = output.strip().splitlines() or ["said nothing"]
        raise RuntimeError(f"{name} {' '.join(model)}: {' | '.join(lines[-3:])}")
    return time.monotonic() - begun
