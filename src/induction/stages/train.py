"""Stage train@MODEL: tokens → snapshots of one model, and its training curve.

With compute.processes above 1 the stage starts a process group of that many; started by torchrun,
it is one of a group already.
"""

from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
import torch

from induction.config import Model, StudyConfig, model_config
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
from induction.resume import ResumableFolder, resumable_folder
from induction.stages import model_argument, run_stage
from induction.train.checkpoint import load_checkpoint, save_checkpoint, share_state
from induction.train.loop import Step, batches, loss_function, train
from induction.train.optimizer import make_optimizers
from induction.train.process_group import (
    ProcessGroup,
    in_process_group,
    joined_process_group,
    launch,
)
from induction.train.repeats import SEGMENT, Repeats
from induction.train.schedule import snapshot_steps
from induction.train.settings import train_settings
from induction.train.targets import targets

_SECTIONS = {"compute", "model", "snapshots", "train"}


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    model_config(config, name)
    if config.compute.processes > 1 and not in_process_group():
        launch(config.compute.processes, main, paths, config, name)
        return
    device = set_up_torch(config.compute)
    with joined_process_group(device) as processes:
        _train(paths, config, name, device, processes)


def _train(
    paths: StudyPaths, config: StudyConfig, name: str, device: torch.device, processes: ProcessGroup
) -> None:
    entry, shape, settings = config.models[name], config.model, train_settings(config, name)
    verify_folder(paths.tokens)
    meta = load_meta(paths.tokens)
    tokens = load_tokens(paths.tokens, "train")
    windows = _windows(tokens, config, entry)
    batch_size = settings.batch_tokens // shape.n_ctx
    steps = entry.tokens // settings.batch_tokens
    available = len(windows) // batch_size * settings.batch_tokens
    batch_key = f"models.{name}.batch_tokens" if entry.batch_tokens else "train.batch_tokens"
    if not available:
        raise StudyError(
            f"params.yaml: {batch_key}: {settings.batch_tokens} is more than the training text "
            "holds: lower it, or add text to the corpus"
        )
    if steps * settings.batch_tokens > available and not settings.repeat_data:
        raise StudyError(
            f"params.yaml: models.{name}.tokens: {entry.tokens} is more than the {available} "
            "training tokens there are: lower it, add text to the corpus, or set "
            "train.repeat_data: true"
        )
    if batch_size % processes.size:
        raise StudyError(
            f"params.yaml: {batch_key}: its {batch_size} windows cannot be shared equally "
            f"by the {processes.size} processes that torchrun started: start a divisor of them"
        )
    if processes.first:
        print(f"{name}: {steps * settings.batch_tokens:,} of {available:,} training tokens")

    model = Transformer(_spec(config, name, meta.d_vocab))
    initialise(model, entry.seed, settings.embedding_std)
    model.to(device)
    at_steps = set(snapshot_steps(steps, settings.batch_tokens, config.snapshots))
    optimizers = make_optimizers(model, entry.optimizer, settings)
    curve: list[Step] = []
    with ExitStack() as stack:
        work = (
            stack.enter_context(_resumable_folder(paths, config, name, processes))
            if processes.first
            else None
        )
        if processes.share(b"finished" if work and work.finished else b""):
            if processes.first:
                print(f"{name}: an earlier run finished it")
            return
        total = steps * settings.batch_tokens
        report = stack.enter_context(progress(total, "tokens")) if processes.first else None

        def after_steps(done: list[Step]) -> None:
            curve.extend(done)
            last = done[-1]
            if not work or not report:
                return
            if last.step in at_steps:
                save_snapshot(model, work.output, last.step, last.tokens)
            work.save_now_and_then(lambda made: save_checkpoint(made, model, optimizers, curve))
            report(last.tokens, f"loss {last.loss:.2f}")

        if work:
            if work.restore(
                lambda folder: curve.extend(load_checkpoint(folder, model, optimizers))
            ):
                print(f"{name}: going on after step {len(curve):,}")
            else:
                save_snapshot(model, work.output, 0, 0)
        curve = share_state(processes, model, optimizers, curve)
        train(
            model,
            optimizers,
            batches(
                *(tokens, windows, shape.n_ctx, batch_size),
                first=len(curve),
                processes=processes,
                repeats=_repeats(entry, shape.n_ctx, steps),
            ),
            range(len(curve), steps),
            settings,
            after_steps,
            loss_of=loss_function(
                *(model, config.compute.dtype),
                compiled=config.compute.compile,
                targets=targets(entry.trained_on, entry.seed),
            ),
            stops=at_steps,
            processes=processes,
        )
        if work:
            _write_curve(curve, work.output / "train.csv")


def _resumable_folder(
    paths: StudyPaths, config: StudyConfig, name: str, processes: ProcessGroup
) -> AbstractContextManager[ResumableFolder]:
    """The work on disk, which the first process of a group alone has."""
    entry, sections = config.models[name], config.model_dump(include=_SECTIONS)
    sections["compute"]["processes"] = processes.size
    about = {
        "config": {f"models.{name}": entry.model_dump(exclude_defaults=True), **sections},
        "environment": environment(paths.lock),
    }
    key = fingerprint(paths, "train", name)
    return resumable_folder(paths.snapshots(name), paths.scratch, key, about)


def _windows(tokens: np.ndarray, config: StudyConfig, entry: Model) -> np.ndarray:
    """Where the training windows of a model begin, in the order in which it sees them."""
    seed, n_ctx = config.train.data_seed, config.model.n_ctx
    if entry.data_order == "random":
        return training_windows(tokens, n_ctx, (seed, entry.seed))
    return training_windows(tokens, n_ctx, seed, reverse=entry.data_order == "reversed")


def _repeats(entry: Model, n_ctx: int, steps: int) -> Repeats | None:
    if not entry.repeated_share:
        return None
    if n_ctx <= 2 * SEGMENT:
        raise StudyError(
            f"params.yaml: model.n_ctx: {n_ctx} has no room for {SEGMENT} tokens twice: raise it, "
            "or leave out repeated_share"
        )
    return Repeats(entry.repeated_share, entry.repeated == "reversed", steps, entry.seed)


def _spec(config: StudyConfig, name: str, d_vocab: int) -> TransformerSpec:
    entry, shape = config.models[name], config.model
    return TransformerSpec(
        n_layers=entry.n_layers,
        d_model=shape.d_model,
        n_heads=shape.n_heads,
        d_mlp=shape.d_mlp,
        n_ctx=shape.n_ctx,
        d_vocab=d_vocab,
        attn_only=entry.attn_only,
        smeared_keys=entry.smeared_keys,
        smeared_values=entry.smeared_values,
        position_base=shape.position_base,
        clamp=entry.clamp,
    )


def _write_curve(curve: list[Step], path: Path) -> None:
    pl.DataFrame([asdict(step) for step in curve]).write_csv(path, float_precision=6)


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"train@{model}", lambda paths, config: main(paths, config, model))
