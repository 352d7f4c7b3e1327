"""Which training recipe brings the phase change earliest: `make bench-recipe`.

A two-layer model is trained with each of a list of changes to params.yaml's section `train`, and
with AdamW in Muon's place, from several initial weights; the onset and the height of the fall of
its ICL score are found by the rule of the study. Writes benchmarks/recipe.json and prints its
table. With --only TEXT, the changes with TEXT in their name are tried again and the others kept.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from induction.config import StudyConfig, load_config
from induction.data.tokens import load_meta, load_tokens, training_windows
from induction.evaluation.evaluation_set import load_evaluation
from induction.files import read_json, write_json
from induction.measure import losses
from induction.model.compute import set_up_torch
from induction.model.transformer import Transformer, TransformerSpec, initialise
from induction.paths import find_study
from induction.rules.phase_change import find_phase_change
from induction.train.loop import Step, batches, train
from induction.train.optimizer import make_optimizers
from induction.train.schedule import snapshot_steps

MODEL = "attn-2l"
TOKENS = 4_000_000
EXAMPLES = 128
SEEDS = (0, 1, 2)
CHANGES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "batches of 1,024": {"batch_tokens": 1024},
    "batches of 4,096": {"batch_tokens": 4096},
    "half of Muon's rate": {"muon_learning_rate": 0.01},
    "twice Muon's rate": {"muon_learning_rate": 0.04},
    "half of AdamW's rate": {"learning_rate": 0.008},
    "twice AdamW's rate": {"learning_rate": 0.032},
    "a fifth of the warm-up": {"warmup_steps": 20},
    "Muon's momentum 0.9": {"muon_momentum": 0.9},
    "embedding three times smaller": {"embedding_std": 0.1},
    "embedding three times larger": {"embedding_std": 1.0},
    **{
        f"AdamW alone at {rate:g}": {"optimizer": "adamw", "learning_rate": rate}
        for rate in (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)
    },
    "AdamW's second beta 0.99": {"adam_betas": (0.9, 0.99)},
}


def one_run(change: str, seed: int) -> dict[str, Any]:
    """Onset in tokens (None where the score does not fall), and score and loss at the end."""
    paths = find_study()
    config = load_config(paths.params)
    changes = {"optimizer": config.models[MODEL].optimizer, **CHANGES[change]}
    optimizer = changes.pop("optimizer")
    settings = config.train.model_copy(update=changes)
    set_up_torch(config.compute)
    evaluation = load_evaluation(
        paths.tokens,
        config.model.n_ctx,
        config.evaluation.model_copy(update={"examples": EXAMPLES}),
    )
    model = Transformer(_spec(config, load_meta(paths.tokens).d_vocab))
    initialise(model, seed, settings.embedding_std)
    size = settings.batch_tokens // config.model.n_ctx
    steps = TOKENS // settings.batch_tokens
    at = set(snapshot_steps(steps, settings.batch_tokens, config.snapshots))
    points: list[tuple[int, float, float]] = []

    def after_steps(steps: list[Step]) -> None:
        step = steps[-1]
        if step.step in at:
            found = losses.measure(model, evaluation)
            score = float(found["late"].mean() - found["early"].mean())
            points.append((step.tokens, score, float(found["per_index"].mean())))

    tokens = load_tokens(paths.tokens, "train")
    windows = training_windows(tokens, config.model.n_ctx, settings.data_seed)
    data = batches(tokens, windows, config.model.n_ctx, size)
    optimizers = make_optimizers(model, optimizer, settings)
    train(model, optimizers, data, range(steps), settings, after_steps)
    seen, score, loss = (np.array(column) for column in zip(*points, strict=True))
    fall = find_phase_change(seen, score, config.phase_change)
    return {
        "change": change,
        "seed": seed,
        "onset_tokens": None if fall is None else round(fall.band_tokens[0]),
        "icl_score": round(float(score[-1]), 4),
        "loss": round(float(loss[-1]), 4),
    }


def _spec(config: StudyConfig, d_vocab: int) -> TransformerSpec:
    entry, shape = config.models[MODEL], config.model
    return TransformerSpec(
        n_layers=entry.n_layers,
        d_model=shape.d_model,
        n_heads=shape.n_heads,
        d_mlp=shape.d_mlp,
        n_ctx=shape.n_ctx,
        d_vocab=d_vocab,
        attn_only=entry.attn_only,
        smeared_keys=entry.smeared_keys,
        position_base=shape.position_base,
    )


def table(rows: list[dict[str, Any]]) -> Table:
    """The median over seeds, and every seed's onset; earliest first."""
    shown = Table("change", "onset, thousand tokens", "each seed", "ICL score", "loss")
    by_change = {change: [row for row in rows if row["change"] == change] for change in CHANGES}

    def onset(change: str) -> float:
        return float(np.median([row["onset_tokens"] or np.inf for row in by_change[change]]))

    for change in sorted((name for name in CHANGES if by_change[name]), key=onset):
        runs = by_change[change]
        shown.add_row(
            change,
            f"{onset(change) / 1000:,.0f}",
            ", ".join(f"{(row['onset_tokens'] or np.inf) / 1000:,.0f}" for row in runs),
            *(f"{np.median([row[key] for row in runs]):.3f}" for key in ("icl_score", "loss")),
        )
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="changes with TEXT in their name"
    )
    only = parser.parse_args().only
    file = find_study().root / "benchmarks" / "recipe.json"
    kept = [row for row in read_json(file)["rows"] if only not in row["change"]] if only else []
    jobs = [(change, seed) for change in CHANGES if only in change for seed in SEEDS]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        found = list(track(pool.map(one_run, *zip(*jobs, strict=True)), total=len(jobs)))
    rows = [row for row in kept if row["change"] in CHANGES] + found
    write_json(file, {"model": MODEL, "tokens": TOKENS, "rows": rows})
    Console().print(table(rows))


if __name__ == "__main__":
    main()
