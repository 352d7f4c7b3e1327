"""Stage behave@MODEL: snapshots and measurements of one model → what it can do in context, and
what it can do without its induction heads."""

import numpy as np
import polars as pl

from induction.behave import make_tasks
from induction.behave.conditions import conditions
from induction.behave.evaluator import put_to
from induction.behave.material import Material, drawable_tokens
from induction.behave.tables import rows
from induction.behave.task import Task
from induction.config import Behaviours, StudyConfig, model_config
from induction.data.catalogues import Pair, catalogue_pairs, file_pairs
from induction.data.tokenizer import load_tokenizer
from induction.data.tokens import START_TOKEN, load_meta, load_tokens, token_counts
from induction.files import verify_folder
from induction.measure.evaluation import load_evaluation
from induction.model.compute import set_up_torch
from induction.model.transformer import Transformer
from induction.model.weights import Snapshot, evenly_picked, list_snapshots, load_snapshot
from induction.over_snapshots import over_snapshots
from induction.paths import StudyPaths
from induction.stages import model_argument, run_stage
from induction.study.curves import load_curves
from induction.study.head_kinds import find_head_kinds


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    model_config(config, name)
    settings = config.behaviours
    device = set_up_torch(config.compute)
    verify_folder(paths.snapshots(name))
    snapshots = evenly_picked(list_snapshots(paths.snapshots(name)), settings.snapshots)
    kinds = find_head_kinds(load_curves(paths, name).last_heads, config.head_kinds)
    last = load_snapshot(snapshots[-1].path)
    tasks = make_tasks(_material(paths, config, last.W_E.numpy()), settings)
    asked = [task for task in tasks if isinstance(task, Task)]

    def work(
        snapshot: Snapshot, model: Transformer
    ) -> tuple[dict[str, np.ndarray], dict[str, pl.DataFrame]]:
        wanted = conditions(model.spec, kinds.induction, settings.random_draws, settings.seed)
        outcomes = [put_to(model, task, wanted) for task in asked]
        return {}, rows(snapshot, tasks, outcomes, last=snapshot == snapshots[-1])

    over_snapshots(paths, "behave", paths.behaviours(name), snapshots, device, work)


def _material(paths: StudyPaths, config: StudyConfig, embedding: np.ndarray) -> Material:
    """What the tasks of a model with the study's own tokenizer are made from."""
    evaluation = load_evaluation(paths.tokens, config.model.n_ctx, config.evaluation)
    tokenizer = load_tokenizer(paths.tokens)
    counts = token_counts(load_tokens(paths.tokens, "train"), load_meta(paths.tokens).d_vocab)
    pairs, why_no_pairs = parallel_text(paths, config.behaviours)
    return Material(
        encode=lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
        texts=[tokenizer.decode([token]) for token in range(len(counts))],
        start=START_TOKEN,
        drawable=drawable_tokens(counts, START_TOKEN, config.evaluation.probe_vocab_quantiles),
        windows=evaluation.tokens.numpy(),
        embedding=embedding,
        pairs=pairs,
        why_no_pairs=why_no_pairs,
        n_ctx=config.model.n_ctx,
    )


def parallel_text(paths: StudyPaths, settings: Behaviours) -> tuple[list[Pair], str]:
    """Pairs of phrases from the user's file or the catalogues, and why there are none."""
    if settings.translation_file:
        pairs = file_pairs(paths.root / settings.translation_file)
        return pairs, f"{settings.translation_file} holds no pair of short phrases"
    language = settings.translation_language
    reason = f"no catalogue of {language} in data/raw, and no behaviours.translation_file"
    return catalogue_pairs(paths.raw, language), reason


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"behave@{model}", lambda paths, config: main(paths, config, model))
