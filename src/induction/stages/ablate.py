"""Stage ablate@MODEL: snapshots and measurements of one model → what its heads do."""

import numpy as np
import polars as pl

from induction.ablate.effects import before_after_vector, effect_of, first_examples, icl_interval
from induction.ablate.evaluator import ablated_losses
from induction.ablate.heads import head_ablations, head_rows
from induction.ablate.sets import head_sets, set_rows
from induction.config import StudyConfig, model_config
from induction.environment import environment
from induction.files import published_folder, verify_folder
from induction.measure.evaluation import load_evaluation
from induction.model.compute import set_up_torch
from induction.model.weights import Snapshot, list_snapshots, load_snapshot
from induction.paths import StudyPaths
from induction.progress import progress
from induction.stages import model_argument, run_stage
from induction.study.curves import Curves, load_curves
from induction.study.head_kinds import find_head_kinds
from induction.study.phase_change import find_phase_change


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    model_config(config, name)
    settings = config.ablation
    device = set_up_torch(config.compute)
    verify_folder(paths.snapshots(name))
    whole = load_evaluation(paths.tokens, config.model.n_ctx, config.evaluation)
    evaluation = first_examples(whole, settings.examples)
    curves = load_curves(paths, name)
    direction = _before_after(curves, config, evaluation.kept.size)
    last = curves.heads.filter(pl.col("step") == pl.col("step").max())
    kinds = find_head_kinds(last, config.head_kinds)
    snapshots = evenly_picked(list_snapshots(paths.snapshots(name)), settings.snapshots)
    heads: list[pl.DataFrame] = []
    sets: list[pl.DataFrame] = []
    with (
        published_folder(
            paths.ablations(name), paths.scratch, {"environment": environment(paths.lock)}
        ) as folder,
        progress(len(snapshots), "snapshots") as report,
    ):
        for done, snapshot in enumerate(snapshots, start=1):
            model = load_snapshot(snapshot.path).to(device)
            groups = head_sets(model.spec, kinds, settings.random_draws, settings.seed)
            of_sets = [ablation for group in groups for ablation in group.ablations()]
            losses = ablated_losses(model, evaluation, [*head_ablations(model.spec), *of_sets])
            change = {key: ablated - losses.intact for key, ablated in losses.ablated.items()}
            effects = {key: effect_of(change[key], evaluation, direction) for key in change}
            intervals = {
                key: icl_interval(change[key], evaluation, settings.resamples, settings.seed)
                for key in of_sets
                if done == len(snapshots)
            }
            heads.append(head_rows(snapshot, model.spec, effects))
            sets.append(set_rows(snapshot, groups, effects, intervals))
            report(done, f"step {snapshot.step}")
        pl.concat(heads).write_parquet(folder / "heads.parquet")
        pl.concat(sets).write_parquet(folder / "sets.parquet")


def evenly_picked(snapshots: list[Snapshot], count: int) -> list[Snapshot]:
    """`count` snapshots at even distances, the last one included; all of them if there are fewer.

    The first one picked is a whole distance into training, where there is something to ablate.
    """
    total = len(snapshots)
    if count >= total:
        return snapshots
    return [snapshots[(k + 1) * total // count - 1] for k in range(count)]


def _before_after(curves: Curves, config: StudyConfig, length: int) -> np.ndarray | None:
    """The before-and-after vector of the first `length` kept tokens, if there is a phase change."""
    change = find_phase_change(curves.tokens, curves.icl_score, config.phase_change)
    if change is None:
        return None
    return before_after_vector(curves.tokens, curves.per_token[:, :length], change.band_tokens)


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"ablate@{model}", lambda paths, config: main(paths, config, model))
