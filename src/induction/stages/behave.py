"""Stage behave@MODEL: snapshots and measurements of one model → what it can do in context, and
what it can do without its induction heads."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl

from induction.behave import make_tasks
from induction.behave.conditions import INTACT, conditions
from induction.behave.evaluator import evaluate
from induction.behave.material import Material, our_material
from induction.behave.tables import rows
from induction.behave.task import Task
from induction.config import Behaviours, StudyConfig, model_config
from induction.data.catalogues import Pair, catalogue_pairs, file_pairs
from induction.evaluation.evaluation_set import load_evaluation
from induction.files import verify_folder
from induction.model.compute import set_up_torch
from induction.model.interface import Measurable
from induction.model.weights import Snapshot, evenly_picked, list_snapshots, load_snapshot
from induction.paths import StudyPaths
from induction.progress import Tell
from induction.rules.curves import load_curves
from induction.rules.head_kinds import find_head_kinds
from induction.stages import leave_out, model_argument, run_stage
from induction.stages.over_snapshots import Load, over_snapshots


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    model_config(config, name)
    if config.models[name].experiment:
        leave_out(paths, paths.behaviours(name))
        return
    device = set_up_torch(config.compute)
    verify_folder(paths.snapshots(name))
    snapshots = evenly_picked(list_snapshots(paths.snapshots(name)), config.behaviours.snapshots)
    evaluation = load_evaluation(paths.tokens, config.model.n_ctx, config.evaluation)
    behave_all(
        *(paths, config, "behave", name, snapshots),
        lambda snapshot: load_snapshot(snapshot.path).to(device),
        lambda: our_material(paths, config, evaluation, snapshots[-1]),
    )


def behave_all(
    paths: StudyPaths,
    config: StudyConfig,
    stage: str,
    name: str,
    snapshots: list[Snapshot],
    load: Load,
    material: Callable[[], Material],
) -> None:
    """Put the tasks to the snapshots of a model, ours or not, and publish what is found.

    material: called when there is a snapshot left to do; the parallel text is added to it.
    """
    settings = config.behaviours
    kinds = find_head_kinds(load_curves(paths, name).last_heads, config.head_kinds)
    pairs, why_no_pairs = parallel_text(paths, settings)
    asked_with = cache(lambda: replace(material(), pairs=pairs, why_no_pairs=why_no_pairs))
    tasks = cache(lambda: make_tasks(asked_with(), settings))

    def load_after_tasks(snapshot: Snapshot) -> Measurable:
        tasks()  # so that no snapshot is in memory beside the one whose embedding they need
        return load(snapshot)

    def work(
        snapshot: Snapshot, model: Measurable, tell: Tell
    ) -> tuple[dict[str, np.ndarray], dict[str, pl.DataFrame]]:
        wanted = conditions(model.spec, kinds.induction, settings.random_draws, settings.seed)
        asked, outcomes = [task for task in tasks() if isinstance(task, Task)], []
        for task in asked:
            judged = set(task.variants.values()) != {"control"}
            outcomes.append(evaluate(model, task, wanted if judged else [INTACT]))
            tell(len(outcomes) / len(asked))
        last = snapshot == snapshots[-1]
        return {}, rows(snapshot, tasks(), outcomes, last, wanted[1:], asked_with().texts)

    over_snapshots(paths, stage, paths.behaviours(name), snapshots, load_after_tasks, work)


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
