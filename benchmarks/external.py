"""Whether the path for models of others finds what is known to be there: `make bench-external`.

A small GPT-NeoX and a small Llama with grouped queries are trained here on the study's tokens,
saved as `transformers` saves them, a folder for each revision, and measured and ablated as any
external model is, in a throw-away checkout. Writes benchmarks/external.json: the phase change that
the study's rule finds in each, its heads, and what is lost without them.
"""

import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

import polars as pl
import torch
from train_external import small_gpt_neox, small_llama, train_revisions

from induction.config import ExternalModel, StudyConfig, load_config
from induction.data.tokens import load_meta, load_tokens
from induction.external.revisions import load_revisions
from induction.files.tables import read_table
from induction.paths import StudyPaths, find_study
from induction.rules.curves import Curves, load_curves
from induction.rules.head_kinds import find_head_kinds, head_names
from induction.rules.phase_change import find_phase_change
from induction.stages import ablate_external, measure_external, revisions
from induction.train.schedule import snapshot_steps

ROOT = Path(__file__).parents[1]
# Context and width of the laptop study; half of GPT-NeoX's channels are not rotated, and of
# Llama's most turn too slowly to matter, so that heads can match tokens at any distance.
MODELS = {
    "gpt-neox": (small_gpt_neox, {}, 6_000_000, 30),
    "llama": (
        small_llama,
        {
            **{"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 32},
            "rope_parameters": {"rope_type": "default", "rope_theta": 1e6},
        },
        10_000_000,
        20,
    ),
}


def main() -> None:
    study = find_study(ROOT)
    target = ROOT / "benchmarks" / "external.json"
    torch.set_num_threads(1)
    for name in sys.argv[1:] or MODELS:
        with tempfile.TemporaryDirectory(prefix="induction-external-") as scratch:
            found = _one(study, name, Path(scratch))
        results = json.loads(target.read_text()) if target.is_file() else {}
        results[name] = found
        target.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n")
        print(json.dumps({name: results[name]}, indent=2))


def _one(study: StudyPaths, name: str, root: Path) -> dict:
    """Train, measure and ablate one model; what was found of it."""
    config = load_config(study.params)
    make, changes, tokens, count = MODELS[name]
    n_ctx, batch_tokens = config.model.n_ctx, config.train.batch_tokens
    schedule = config.snapshots.model_copy(update={"count": count})
    torch.manual_seed(0)
    start = time.perf_counter()
    saved = train_revisions(
        make(load_meta(study.tokens).d_vocab, n_ctx, **changes),
        root / "revisions",
        study.tokens / "tokenizer.json",
        load_tokens(study.tokens, "train"),
        n_ctx,
        batch_tokens // n_ctx,
        snapshot_steps(tokens // batch_tokens, batch_tokens, schedule),
    )
    trained = time.perf_counter() - start
    entry = ExternalModel(
        source="revisions",
        revisions=saved,
        batch_tokens=batch_tokens,
        n_layers=2,
        device="cpu",
        dtype="float32",
    )
    config = config.model_copy(update={"external": {name: entry}})
    paths = _checkout(study, root, config)
    start = time.perf_counter()
    for stage in (revisions, measure_external, ablate_external):
        stage.main(paths, config, name)
    return _found(paths, config, name) | {
        "seconds": {
            "training": round(trained),
            "measuring": round(time.perf_counter() - start),
        }
    }


def _checkout(study: StudyPaths, root: Path, config: StudyConfig) -> StudyPaths:
    """What the stages read of a checkout: parameters, pipeline, code, tokens."""
    (root / "data").mkdir()
    (root / "data" / "tokens").symlink_to(study.tokens.resolve())
    (root / "src").symlink_to(study.root / "src")
    for path in (study.pipeline, study.lock):
        shutil.copyfile(path, root / path.name)
    (root / "params.yaml").write_text(json.dumps(config.model_dump(mode="json")))
    return StudyPaths(root)


def _found(paths: StudyPaths, config: StudyConfig, name: str) -> dict:
    curves = load_curves(paths, name)
    change = find_phase_change(curves.tokens, curves.icl_score, config.phase_change)
    kinds = find_head_kinds(curves.last_heads, config.head_kinds)
    assert curves.per_character is not None
    return {
        "revisions": len(load_revisions(paths.external(name)).revisions),
        "tokens": int(curves.tokens[-1]),
        "onset_tokens": round(change.onset_tokens) if change else None,
        "band_tokens": [round(end) for end in change.band_tokens] if change else None,
        "icl_score": [round(float(score), 4) for score in _around(curves, change)],
        "prefix_matching": round(float(curves.best_head("prefix_matching")[-1]), 4),
        "previous_token": round(float(curves.best_head("previous_token")[-1]), 4),
        "induction_heads": head_names(kinds.induction),
        "previous_token_heads": head_names(kinds.previous_token),
        "loss": round(float(curves.loss[-1]), 4),
        "loss_per_character": round(float(curves.per_character[-1]), 4),
        "icl_attribution": _attribution(paths, name),
    }


def _around(curves: Curves, change) -> list[float]:
    """ICL score at the start of the band, or of training where there is none, and at the end."""
    first = change.band_tokens[0] if change else 0
    return [curves.icl_score[abs(curves.tokens - first).argmin()], curves.icl_score[-1]]


def _attribution(paths: StudyPaths, name: str) -> dict[str, float]:
    """Change of the ICL score without each set of heads at the end, in nats; random: the mean."""
    sets = read_table(paths.ablations(name) / "sets.parquet")
    last = sets.filter((pl.col("step") == pl.col("step").max()) & (pl.col("kind") == "zero"))
    means = last.group_by("set", maintain_order=True).agg(pl.col("icl_attribution").mean())
    return {row["set"]: round(row["icl_attribution"], 4) for row in means.iter_rows(named=True)}


if __name__ == "__main__":
    main()
