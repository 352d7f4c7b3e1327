"""Stage steer@MODEL: the last snapshot and measurements of one model → what it does while its
induction heads are turned down and up."""

from collections.abc import Callable

import numpy as np
import polars as pl

from induction.behave.material import Material, our_material
from induction.config import StudyConfig, model_config
from induction.evaluation.evaluation_set import EvaluationSet, load_evaluation
from induction.files import verify_folder
from induction.model.compute import set_up_torch
from induction.model.interface import Measurable
from induction.model.weights import Snapshot, list_snapshots, load_snapshot
from induction.paths import StudyPaths
from induction.progress import Tell
from induction.rules.curves import load_curves
from induction.rules.head_kinds import find_head_kinds
from induction.stages import leave_out, model_argument, run_stage
from induction.stages.over_snapshots import Load, over_snapshots
from induction.steer.measures import asked_tasks, scalings, steer


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    model_config(config, name)
    if config.models[name].experiment:
        leave_out(paths, paths.steering(name))
        return
    device = set_up_torch(config.compute)
    verify_folder(paths.snapshots(name))
    last = list_snapshots(paths.snapshots(name))[-1]
    evaluation = load_evaluation(paths.tokens, config.model.n_ctx, config.evaluation)
    steer_last(
        *(paths, config, "steer", name, last),
        lambda snapshot: load_snapshot(snapshot.path).to(device),
        evaluation,
        lambda: our_material(paths, config, evaluation, last),
    )


def steer_last(
    paths: StudyPaths,
    config: StudyConfig,
    stage: str,
    name: str,
    last: Snapshot,
    load: Load,
    evaluation: EvaluationSet,
    material: Callable[[], Material],
) -> None:
    """Scale the heads of a model, ours or not, and publish what is found.

    material: called only if the model has induction heads.
    """
    settings = config.steering
    kinds = find_head_kinds(load_curves(paths, name).last_heads, config.head_kinds)

    def work(
        snapshot: Snapshot, model: Measurable, tell: Tell
    ) -> tuple[dict[str, np.ndarray], dict[str, pl.DataFrame]]:
        wanted = scalings(model.spec, kinds.induction, settings)
        tasks = asked_tasks(material(), config.behaviours) if wanted else []
        found = steer(model, wanted, tasks, evaluation, settings, tell)
        return {}, {"scaled": found.select(pl.lit(snapshot.step, pl.Int64).alias("step"), pl.all())}

    over_snapshots(paths, stage, paths.steering(name), [last], load, work)


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"steer@{model}", lambda paths, config: main(paths, config, model))
