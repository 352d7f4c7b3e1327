"""Stage ablate@MODEL: snapshots and measurements of one model → what its heads do."""

import numpy as np
import polars as pl

from induction.ablate.effects import before_after_vector, effect_of, icl_interval
from induction.ablate.evaluator import KINDS, ablated_losses
from induction.ablate.heads import all_heads, head_ablations, head_rows, named_heads
from induction.ablate.key_paths import SCHEMA as PATH_SCHEMA
from induction.ablate.key_paths import key_paths
from induction.ablate.sets import head_sets, other_sets, set_rows
from induction.config import StudyConfig, model_config
from induction.evaluation.evaluation_set import EvaluationSet, load_evaluation
from induction.files import verify_folder
from induction.model.compute import set_up_torch
from induction.model.interface import Measurable
from induction.model.weights import Snapshot, evenly_picked, list_snapshots, load_snapshot
from induction.paths import StudyPaths
from induction.progress import Tell
from induction.rules.curves import Curves, load_curves
from induction.rules.head_kinds import find_head_kinds
from induction.rules.phase_change import find_phase_change
from induction.stages import model_argument, run_stage
from induction.stages.over_snapshots import Load, over_snapshots


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    model_config(config, name)
    device = set_up_torch(config.compute)
    verify_folder(paths.snapshots(name))
    evaluation = load_evaluation(paths.tokens, config.model.n_ctx, config.evaluation)
    snapshots = evenly_picked(list_snapshots(paths.snapshots(name)), config.ablation.snapshots)
    ablate_all(
        *(paths, config, "ablate", name, snapshots),
        lambda snapshot: load_snapshot(snapshot.path).to(device),
        evaluation,
    )


def ablate_all(
    paths: StudyPaths,
    config: StudyConfig,
    stage: str,
    name: str,
    snapshots: list[Snapshot],
    load: Load,
    whole: EvaluationSet,
) -> None:
    """Ablate the heads of the snapshots of a model, ours or not, and publish what is found.

    Over training each head is set to zero; sets of heads, and the other ways to take heads out,
    are compared at its end.
    """
    settings, entry = config.ablation, config.external.get(name)
    evaluation = whole.first((entry and entry.ablated_examples) or settings.examples)
    curves = load_curves(paths, name)
    direction = _before_after(curves, config, evaluation.kept.size)
    last = curves.heads.filter(pl.col("step") == pl.col("step").max())
    kinds = find_head_kinds(last, config.head_kinds)

    def work(
        snapshot: Snapshot, model: Measurable, tell: Tell
    ) -> tuple[dict[str, np.ndarray], dict[str, pl.DataFrame]]:
        at_end = snapshot == snapshots[-1]
        groups = head_sets(model.spec, kinds, settings.random_draws, settings.seed)
        others = other_sets(model.spec, kinds.induction, settings.other_sets, settings.seed)
        only_named = entry is not None and entry.ablated_heads == "named"
        heads = named_heads(kinds, groups) if only_named else all_heads(model.spec)
        single = head_ablations(heads, KINDS if at_end else ("zero",))
        of_sets = [ablation for group in groups for ablation in group.ablations()]
        beside = [ablation for group in others for ablation in group.ablations()]
        wanted = [*single, *of_sets, *beside] if at_end else single
        losses = ablated_losses(model, evaluation, wanted, tell=tell)
        change = {key: ablated - losses.intact for key, ablated in losses.ablated.items()}
        effects = {key: effect_of(change[key], evaluation, direction) for key in change}
        intervals = {
            key: icl_interval(change[key], evaluation, settings.resamples, settings.seed)
            for key in (of_sets if at_end else ())
        }
        sets = [*groups, *others] if at_end else []
        paths_cut = key_paths(model, evaluation) if at_end else pl.DataFrame(schema=PATH_SCHEMA)
        return {}, {
            "heads": head_rows(snapshot, single, effects),
            "sets": set_rows(snapshot, sets, effects, intervals),
            "key_paths": paths_cut.select(pl.lit(snapshot.step, pl.Int64).alias("step"), pl.all()),
        }

    over_snapshots(paths, stage, paths.ablations(name), snapshots, load, work)


def _before_after(curves: Curves, config: StudyConfig, length: int) -> np.ndarray | None:
    """The before-and-after vector of the first `length` kept tokens, if there is a phase change."""
    change = find_phase_change(curves.tokens, curves.icl_score, config.phase_change)
    if change is None:
        return None
    return before_after_vector(curves.tokens, curves.per_token[:, :length], change.band_tokens)


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"ablate@{model}", lambda paths, config: main(paths, config, model))
