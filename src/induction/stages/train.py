"""Stage train@MODEL: tokens → snapshots of one model, and its training curve."""

from dataclasses import asdict
from pathlib import Path

import polars as pl

from induction.config import StudyConfig, model_config
from induction.data.tokens import load_meta, load_tokens, training_windows
from induction.environment import environment
from induction.errors import StudyError
from induction.files import verify_folder
from induction.fingerprint import fingerprint
from induction.model.compute import set_up_torch
from induction.model.transformer import Transformer, TransformerSpec, initialise
from induction.model.weights import save_snapshot
from induction.paths import StudyPaths
from induction.progress import progress
from induction.resume import attempt
from induction.stages import model_argument, run_stage
from induction.train.checkpoint import load_checkpoint, save_checkpoint
from induction.train.loop import Step, batches, train
from induction.train.optimizer import make_optimizers
from induction.train.schedule import snapshot_steps

_SECTIONS = {"compute", "model", "snapshots", "train"}


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    entry, shape, settings = model_config(config, name), config.model, config.train
    device = set_up_torch(config.compute)
    verify_folder(paths.tokens)
    meta = load_meta(paths.tokens)
    tokens = load_tokens(paths.tokens, "train")
    windows = training_windows(tokens, shape.n_ctx, settings.data_seed)
    batch_size = settings.batch_tokens // shape.n_ctx
    steps = entry.tokens // settings.batch_tokens
    available = len(windows) // batch_size * settings.batch_tokens
    if steps * settings.batch_tokens > available and not settings.repeat_data:
        raise StudyError(
            f"params.yaml: models.{name}.tokens: {entry.tokens} is more than the {available} "
            "training tokens there are: lower it, add text to the corpus, or set "
            "train.repeat_data: true"
        )
    print(f"{name}: {steps * settings.batch_tokens:,} of {available:,} training tokens")

    spec = TransformerSpec(
        n_layers=entry.n_layers,
        d_model=shape.d_model,
        n_heads=shape.n_heads,
        d_mlp=shape.d_mlp,
        n_ctx=shape.n_ctx,
        d_vocab=meta.d_vocab,
        attn_only=entry.attn_only,
        smeared_keys=entry.smeared_keys,
        position_base=shape.position_base,
    )
    model = Transformer(spec)
    initialise(model, entry.seed, settings.embedding_std)
    model.to(device)
    at_steps = set(snapshot_steps(steps, settings.batch_tokens, config.snapshots))
    about = {
        "config": {f"models.{name}": entry.model_dump(), **config.model_dump(include=_SECTIONS)},
        "environment": environment(paths.lock),
    }
    optimizers = make_optimizers(model, entry.optimizer, settings)
    curve: list[Step] = []
    key = fingerprint(paths, "train", name)
    with (
        attempt(paths.snapshots(name), paths.scratch, key, about) as work,
        progress(steps * settings.batch_tokens, "tokens") as report,
    ):
        if work.finished:
            print(f"{name}: an earlier attempt finished it")
            return

        def after_step(step: Step) -> None:
            curve.append(step)
            if step.step in at_steps:
                save_snapshot(model, work.output, step.step, step.tokens)
            work.save_now_and_then(lambda state: save_checkpoint(state, model, optimizers, curve))
            report(step.tokens, f"loss {step.loss:.2f}")

        if work.restore(lambda state: curve.extend(load_checkpoint(state, model, optimizers))):
            print(f"{name}: going on after step {len(curve):,}")
        else:
            save_snapshot(model, work.output, 0, 0)
        data = batches(tokens, windows, shape.n_ctx, batch_size, first=len(curve))
        train(model, optimizers, data, range(len(curve), steps), settings, after_step)
        _write_curve(curve, work.output / "train.csv")


def _write_curve(curve: list[Step], path: Path) -> None:
    pl.DataFrame([asdict(step) for step in curve]).write_csv(path, float_precision=6)


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"train@{model}", lambda paths, config: main(paths, config, model))
