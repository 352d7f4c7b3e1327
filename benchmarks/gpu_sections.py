"""What `make gpu-check` looks at, one function a section: it yields a row for each thing found.

A row says `what` was looked at and, where it is a check, whether it is `ok`. Every section runs in
a process of its own (see gpu_check.py), on any device, so that the tests can run all on a CPU.
Shape suffixes as in transformer.py.
"""

import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import gpu_speed
import numpy as np
import torch
from flop import training_flop
from gpu_study import (
    ROOT,
    ZOO,
    Job,
    Row,
    evaluation_settings,
    run_stage,
    said,
    stage,
    text,
    write_params,
)
from torch import Tensor

from induction.ablate.evaluator import KINDS, Ablation, ablated_losses
from induction.config import load_config
from induction.data.tokens import load_tokens
from induction.evaluation.evaluation_set import make_evaluation
from induction.measure import ARRAYS, CIRCUITS, HEADS
from induction.model.transformer import Transformer, TransformerSpec, initialise
from induction.paths import StudyPaths
from induction.rules.curves import load_curves
from induction.rules.phase_change import find_phase_change, first_crossing
from induction.train.loop import loss_function, train
from induction.train.optimizer import make_optimizers

# Nats between losses. bfloat16 on a CPU is at most 7e-4 away; a model with its embedding upside
# down at least 4e-3, at the test's size and at the paper's width.
LIMITS = {"float32": 1e-3, "bfloat16": 2e-3}


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
    limit = LIMITS[dtype]
    what = f"losses of three steps as on a CPU, within {limit} nats: {how}"
    yield {"what": what, "distance": distance, "ok": distance <= limit}


def trained(
    spec: TransformerSpec, tokens: Tensor, device: torch.device, dtype: str, *, compiled: bool
) -> tuple[list[float], list[Tensor]]:
    """Losses and weights after three steps with Muon, at the full learning rate."""
    settings = load_config(ROOT / "params/gpu.yaml").train.model_copy(update={"warmup_steps": 0})
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
    """A model in which every matrix tells: a fresh one's loss is ln(d_vocab) whatever it does."""
    model = Transformer(spec)
    initialise(model, 0, 0.3)
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight += torch.randn(weight.shape, generator=random) * 0.02
    return model.to(device)


def measured(job: Job, device: torch.device) -> Iterator[Row]:
    """Every measurement and kind of ablation on the device, beside the CPU's."""
    spec = replace(job.spec, smeared_keys=True)  # without, there is no smear to measure
    settings = evaluation_settings(spec.n_ctx, examples=4)
    valid = np.random.default_rng(0).integers(1, spec.d_vocab, 40 * spec.n_ctx).astype(np.uint16)
    valid[:: 4 * spec.n_ctx] = 0
    evaluation = make_evaluation(valid, np.arange(spec.d_vocab), 0, spec.n_ctx, settings)
    models = [made(spec, place) for place in (torch.device("cpu"), device)]
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
    """One row: the largest distance of any array; not ok where one alone is no number, or where
    there is no number to compare."""
    distances: list[float] = []
    alike = True
    for key, expected in first.items():
        a, b = (np.asarray(value, dtype=np.float64) for value in (expected, second[key]))
        alike = alike and np.array_equal(np.isfinite(a), np.isfinite(b))
        distances.extend(np.abs(a - b)[np.isfinite(a) & np.isfinite(b)])
    distance = float(max(distances, default=np.inf))
    ok = alike and distance <= 2e-3
    found = distance if distances else None
    yield {"what": f"as on a CPU, within 0.002: {name}", "distance": found, "ok": ok}


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
    steps = max(24, int(rate * job.train_seconds / len(ZOO) / step))
    write_params(job, tokens=dict.fromkeys(ZOO, steps * step))
    # Side by side, since much of a stage is its start and its compiling, on a processor's core.
    seconds = run_stage(job, "train", *ZOO)
    what = f"train {', '.join(ZOO)} side by side"
    yield {"what": what, "tokens_each": steps * step, "seconds": round(seconds, 1), "ok": True}
    corpus = len(load_tokens(job.work / "data/tokens", "train"))
    seconds = run_stage(job, "measure", *ZOO)
    what = f"measure {', '.join(ZOO)} side by side"
    yield {"what": what, "seconds": round(seconds, 1), "ok": True}
    for name in ZOO:
        curves = load_curves(StudyPaths(job.work), name)
        config = load_config(job.work / "params.yaml")
        rule = config.phase_change
        change = find_phase_change(curves.tokens, curves.icl_score, rule)
        seen = curves.tokens[curves.tokens >= rule.min_tokens]
        best = curves.best_head("prefix_matching")
        yield {
            "what": f"measure {name}",
            "snapshots": len(curves.tokens),
            "tokens": [int(n) for n in curves.tokens],
            "passes_over_the_text": round(steps * step / corpus, 2),
            "icl_score": numbers(curves.icl_score),
            "prefix_matching": numbers(best),
            "onset_tokens": change and round(change.onset_tokens),
            "onset_no_later_than": change and bool(change.onset_tokens <= seen[0] * (1 + 1e-9)),
            "change_complete": change and bool(change.complete),
            "heads_formed_tokens": first_crossing(curves.tokens, best, config.verdicts.head_score),
            "ok": bool(np.isfinite(curves.icl_score).all()),
        }
    seconds = run_stage(job, "ablate", ZOO[0])
    what = f"ablate {ZOO[0]}: two snapshots, every head four ways"
    yield {"what": what, "seconds": round(seconds, 1), "ok": True}


def numbers(values: np.ndarray) -> list[float | None]:
    return [round(float(value), 4) if np.isfinite(value) else None for value in values]


def tokens_per_second(job: Job) -> tuple[float, float]:
    """Of the training loop in bfloat16, compiled, without what a stage does beside it; and the
    FLOP/s that large products in bfloat16 reach on the same device."""
    bench = gpu_speed.Bench(job.set_up(), windows=job.batch, steps=4 if job.tiny else 20)
    bench = replace(bench, product=64) if job.tiny else bench
    work = gpu_speed.ours(bench, job.spec, compiled=job.compiles)
    products = gpu_speed.products(bench)
    work()
    products()
    rate = bench.steps * job.batch * job.spec.n_ctx / bench.seconds(work)
    return rate, 2 * bench.product**3 * bench.steps / bench.seconds(products)


def resumed(job: Job) -> Iterator[Row]:
    """A training that is killed and goes on, beside one that is not: the same bits."""
    step = job.batch * job.spec.n_ctx
    steps = 200 if job.tiny else 300
    write_params(job, tokens={"whole": steps * step, "killed": steps * step})
    with stage(job, "train", "killed", INDUCTION_SAVE_SECONDS="0") as process:
        while not list(job.work.glob(".scratch/unfinished/**/checkpoints/0*")):
            if process.poll() is not None:
                break
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    yield {"what": "a training was killed on its way", "ok": process.returncode == -signal.SIGKILL}
    run_stage(job, "train", "whole", "killed")
    after = re.search(r"going on after step ([\d,]+)", said(job, "train", "killed"))
    went_on = int(after[1].replace(",", "")) if after else None
    folders = [job.work / "data/snapshots" / name for name in ("whole", "killed")]
    names = sorted(path.name for path in folders[0].glob("*.safetensors"))
    same = [name for name in names if len({(f / name).read_bytes() for f in folders}) == 1]
    yield {
        "what": "the killed training went on to the same bits",
        "went_on_after_step": went_on,
        "steps": steps,
        "snapshots": len(names),
        "same": len(same),
        "ok": went_on is not None and 0 < went_on < steps and bool(names) and same == names,
    }


def speed(job: Job) -> Iterator[Row]:
    """The rows of gpu_speed.py: against a plain set-up, the GPU's own peak, and as a stack."""
    if not job.compiles:
        yield {"what": "speed is measured on a GPU alone: gpu_speed.py has the rows"}
        return
    bench = gpu_speed.Bench(job.set_up(), steps=10)
    yield from gpu_speed.rows(bench, job.spec if job.tiny else gpu_speed.PAPER)


SECTIONS: dict[str, Callable[[Job], Iterator[Row]]] = {
    section.__name__: section for section in (text, operations, training, resumed, speed)
}
"""In the order of running: what matters most comes first, for time may run out."""
