"""What the laptop study, the preset gpu and the paper's full series cost: `make bench-cost`.

Arithmetic from the parameter files and flop.py; nothing is run. The laptop's row is checked against
the durations of the last study in this folder (data/timings). Writes benchmarks/cost.json and
prints the tables of docs/gpus-and-clusters.md. A GPU-hour is one of an H100: its data sheet's dense
peaks times a utilisation that has been reached with models like these, not one that was measured
here.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from flop import ablation_flop, forward_flop, training_flop

from induction.ablate.evaluator import KINDS
from induction.config import StudyConfig, load_config
from induction.model.transformer import TransformerSpec
from induction.paths import StudyPaths
from induction.runner.disk import parameter_count
from induction.train.schedule import snapshot_steps

ROOT = Path(__file__).parents[1]
TARGET = ROOT / "benchmarks" / "cost.json"
# Dense peaks in FLOP/s of the H100 SXM's data sheet, bfloat16 and float32, and the share of them.
GPU_TRAINING, GPU_MEASURING, UTILISATION = 989e12, 67e12, 0.4
_FLOAT, _TOKEN = 4, 2

# Counted from the paper's text: the small series on two data sets, smeared keys with controls, and
# the full-scale series, whose widths follow from its parameters (128 for each layer).
SMALL = TransformerSpec(1, 768, 12, 3072, 8192, 2**16, True, False, 10_000.0)
PAPER_STEP_TOKENS = 2**20
FULL_SCALE_LAYERS = (4, 6, 10, 16, 24, 40)


@dataclass(frozen=True)
class Work:
    """One model's training and what is done with its snapshots."""

    name: str
    spec: TransformerSpec
    parameters: int
    tokens: int
    snapshots: int
    measured_tokens: int  # of text and probes, for each snapshot
    measured_length: int
    ablated_snapshots: int
    ablated_tokens: int
    ablation_kinds: int
    last_kinds: int  # of the last snapshot

    @property
    def training(self) -> float:
        return float(self.tokens) * training_flop(self.spec)

    @property
    def measuring(self) -> float:
        each = float(self.measured_tokens) * forward_flop(self.spec, self.measured_length)
        return self.snapshots * each

    @property
    def ablating(self) -> float:
        if not self.ablated_snapshots:
            return 0.0
        each, last = (
            ablation_flop(self.spec, self.measured_length, kinds)
            for kinds in (self.ablation_kinds, self.last_kinds)
        )
        return float(self.ablated_tokens) * ((self.ablated_snapshots - 1) * each + last)

    @property
    def snapshot_bytes(self) -> float:
        return float(self.snapshots) * self.parameters * _FLOAT


def study_work(config: StudyConfig) -> list[Work]:
    """The models of a parameter file."""
    shape, ev, ablation = config.model, config.evaluation, config.ablation
    probes = 2 * ev.probe_sequences * (1 + ev.probe_repeats * ev.probe_period[1])
    texts = (ev.examples + ev.pattern_examples) * shape.n_ctx
    return [
        Work(
            name=name,
            spec=TransformerSpec(
                *(entry.n_layers, shape.d_model, shape.n_heads, shape.d_mlp, shape.n_ctx),
                *(config.tokenizer.d_vocab, entry.attn_only, entry.smeared_keys),
                shape.position_base,
            ),
            parameters=parameter_count(config, name),
            tokens=(steps := entry.tokens // config.train.batch_tokens) * config.train.batch_tokens,
            snapshots=len(snapshot_steps(steps, config.train.batch_tokens, config.snapshots)),
            measured_tokens=texts + probes,
            measured_length=shape.n_ctx,
            ablated_snapshots=ablation.snapshots,
            ablated_tokens=ablation.examples * shape.n_ctx,
            ablation_kinds=1,
            last_kinds=len(KINDS),
        )
        for name, entry in config.models.items()
    ]


def paper_work() -> list[Work]:
    """The paper's 34 models: every head of every snapshot of the small ones is ablated twice."""
    small = [
        replace(SMALL, n_layers=layers, attn_only=attn_only)
        for layers in range(1, 7)
        for attn_only in (True, False)
    ]
    smeared = [
        replace(SMALL, n_layers=layers, smeared_keys=smeared)
        for layers in (1, 2)
        for smeared in (True, False)
    ]
    full = [
        replace(
            *(SMALL,), n_layers=n, d_model=128 * n, n_heads=2 * n, d_mlp=512 * n, attn_only=False
        )
        for n in FULL_SCALE_LAYERS
    ]
    return [
        *(_of_paper(spec, 10_000, snapshots=200, ablated=200) for spec in 2 * small + smeared),
        *(_of_paper(spec, 2**17, snapshots=15, ablated=0) for spec in full),
    ]


def _of_paper(spec: TransformerSpec, steps: int, snapshots: int, ablated: int) -> Work:
    d = spec.d_model
    blocks = spec.n_layers * (4 * d * d + (0 if spec.attn_only else 2 * d * spec.d_mlp))
    return Work(
        name=f"{spec.n_layers} layers of {d}",
        spec=spec,
        parameters=blocks + 2 * d * spec.d_vocab,
        tokens=steps * PAPER_STEP_TOKENS,
        snapshots=snapshots,
        measured_tokens=10_000 * 512,
        measured_length=512,
        ablated_snapshots=ablated,
        ablated_tokens=10_000 * 512,
        ablation_kinds=2,
        last_kinds=2,
    )


def total(what: str, works: list[Work]) -> dict[str, Any]:
    """A row of the first table: sums over models, with GPU-hours at the stated utilisation."""
    training = sum(work.training for work in works)
    looking = {
        "measuring": sum(work.measuring for work in works),
        "ablating": sum(work.ablating for work in works),
    }
    fast, slow = UTILISATION * GPU_TRAINING * 3600, UTILISATION * GPU_MEASURING * 3600
    return {
        "what": what,
        "models": len(works),
        "tokens": sum(work.tokens for work in works),
        "training_flop": training,
        "measuring_flop": looking["measuring"],
        "ablating_flop": looking["ablating"],
        "training_gpu_hours": training / fast,
        "measuring_gpu_hours": looking["measuring"] / slow,
        "ablating_gpu_hours": looking["ablating"] / slow,
        "snapshots": sum(work.snapshots for work in works),
        "snapshot_gb": sum(work.snapshot_bytes for work in works) / 1e9,
        "tokens_on_disk_gb": max(work.tokens for work in works) * _TOKEN / 1e9,
    }


def check(works: list[Work], timings: Path) -> list[dict[str, Any]]:
    """The laptop's stages as they took and as the arithmetic has them, at the measured rate of
    training one thread on the kind of processor that was last looked at (benchmarks/results.json).
    """
    kinds = json.loads((ROOT / "benchmarks" / "results.json").read_text()).values()
    results = max(kinds, key=lambda found: found["date"])["rows"]
    rates = {
        label: next(
            row["ours"] * 1e9
            for row in results
            if row["what"] == f"arithmetic of training, {label}, 1 thread"
        )
        for label in ("attention only", "with MLP")
    }
    rows = []
    for stage in ("train", "measure", "ablate"):
        found = {work.name: timings / f"{stage}@{work.name}.json" for work in works}
        if not all(path.is_file() for path in found.values()):
            return []
        measured = sum(json.loads(path.read_text())["seconds"] for path in found.values())
        flop = {"train": "training", "measure": "measuring", "ablate": "ablating"}[stage]
        reckoned = sum(
            getattr(work, flop) / rates["attention only" if work.spec.attn_only else "with MLP"]
            for work in works
        )
        rows.append({"stage": stage, "reckoned": reckoned, "measured": measured})
    return rows


def tables(found: dict[str, Any]) -> str:
    """The two tables of docs/gpus-and-clusters.md."""
    lines = [
        "| | models | tokens | training | measuring | ablating | H100-hours | snapshots | size |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in found["rows"]:
        hours = [row[f"{kind}_gpu_hours"] for kind in ("training", "measuring", "ablating")]
        flop = [_flop(row[f"{kind}_flop"]) for kind in ("training", "measuring", "ablating")]
        lines.append(
            f"| {row['what']} | {row['models']} | {_count(row['tokens'])} | {' | '.join(flop)} | "
            f"{_hours(hours)} | {row['snapshots']:,} | "
            f"{_count(row['snapshot_gb'] * 1e9)}B |"
        )
    lines += ["", "| laptop study | reckoned | measured | ratio |", "|---|---:|---:|---:|"]
    for row in found["check"]:
        ratio = row["measured"] / row["reckoned"]
        lines.append(
            f"| {row['stage']}, all models | {row['reckoned']:.0f} s | {row['measured']:.0f} s | "
            f"{ratio:.2f} |"
        )
    return "\n".join(lines)


def _flop(value: float) -> str:
    if not value:
        return "–"
    exponent = len(f"{value:.0f}") - 1
    return f"{value / 10**exponent:.1f}e{exponent}"


def _count(value: float) -> str:
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f} "


def _hours(each: list[float]) -> str:
    if sum(each) < 0.1:
        return "–"
    return " + ".join(f"{hours:,.0f}" for hours in each)


def main() -> None:
    laptop = study_work(load_config(ROOT / "params.yaml"))
    gpu = study_work(load_config(ROOT / "params" / "gpu.yaml"))
    paper = paper_work()
    found = {
        "gpu_peak_flop": {"training": GPU_TRAINING, "measuring": GPU_MEASURING},
        "utilisation": UTILISATION,
        "rows": [
            total("laptop study", laptop),
            total("preset `gpu`", gpu),
            total("paper, small models", [work for work in paper if work.ablated_snapshots]),
            total("paper, full scale", [work for work in paper if not work.ablated_snapshots]),
        ],
        "models": [
            {**{k: v for k, v in asdict(work).items() if k != "spec"}, "flop": work.training}
            for work in gpu
        ],
        "check": check(laptop, StudyPaths(ROOT).timings) or _earlier_check(),
    }
    TARGET.write_text(json.dumps(found, indent=2) + "\n")
    print(tables(found))


def _earlier_check() -> list[dict[str, Any]]:
    """The check of an earlier run, where this folder has no durations."""
    return json.loads(TARGET.read_text())["check"] if TARGET.is_file() else []


if __name__ == "__main__":
    main()
