"""Stage measure@MODEL: snapshots of one model → its losses and head scores over training."""

import numpy as np
import polars as pl

from induction.config import StudyConfig, model_config
from induction.evaluation.evaluation_set import EvaluationSet, load_evaluation
from induction.files import verify_folder
from induction.measure import ARRAYS, CIRCUITS, EFFECTS, HEADS, PAIRS
from induction.model.compute import set_up_torch
from induction.model.interface import Measurable
from induction.model.weights import Snapshot, list_snapshots, load_snapshot
from induction.paths import StudyPaths
from induction.progress import Tell
from induction.stages import model_argument, run_stage
from induction.stages.over_snapshots import Load, over_snapshots


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    model_config(config, name)
    device = set_up_torch(config.compute)
    verify_folder(paths.snapshots(name))
    evaluation = load_evaluation(paths.tokens, config.model.n_ctx, config.evaluation)
    snapshots = list_snapshots(paths.snapshots(name))
    measure_all(
        *(paths, "measure", name, snapshots),
        lambda snapshot: load_snapshot(snapshot.path).to(device),
        evaluation,
        config.head_kinds.prefix_matching,
    )


def measure_all(
    paths: StudyPaths,
    stage: str,
    name: str,
    snapshots: list[Snapshot],
    load: Load,
    evaluation: EvaluationSet,
    matches_from: float,
) -> None:
    """Measure every snapshot of a model, ours or not, and publish what is found.

    matches_from: the prefix-matching score from which the effect of a head is measured.
    """

    def work(
        snapshot: Snapshot, model: Measurable, tell: Tell
    ) -> tuple[dict[str, np.ndarray], dict[str, pl.DataFrame]]:
        arrays, found = {}, {}
        for number, measure in enumerate((*ARRAYS, *HEADS), start=1):
            (arrays if measure in ARRAYS else found).update(measure(model, evaluation))
            tell(number / (len(ARRAYS) + len(HEADS) + 2))
        moment = {"step": np.array(snapshot.step), "tokens": np.array(snapshot.tokens)}
        found |= EFFECTS(model, evaluation, found["prefix_matching"], matches_from)
        others = {name: value for name, value in found.items() if value.ndim != 2}
        scores = {name: value for name, value in found.items() if value.ndim == 2}
        scores |= CIRCUITS(model, scores["previous_token"])
        tables = {"heads": _head_rows(snapshot, scores), "circuits": _at(snapshot, PAIRS(model))}
        return arrays | others | moment, tables

    over_snapshots(paths, stage, paths.measurements(name), snapshots, load, work)


def _head_rows(snapshot: Snapshot, scores: dict[str, np.ndarray]) -> pl.DataFrame:
    """One row for each head: step, tokens, layer, head, and a column for each score.

    What is undefined for a head (NaN) becomes null.
    """
    layer, head = np.indices(next(iter(scores.values())).shape)
    columns = {"layer": layer, "head": head, **scores}
    flat = {key: value.ravel() for key, value in columns.items()}
    return _at(snapshot, pl.DataFrame(flat, nan_to_null=True))


def _at(snapshot: Snapshot, rows: pl.DataFrame) -> pl.DataFrame:
    """Put the moment of training in front of a table's columns."""
    moment = {"step": snapshot.step, "tokens": snapshot.tokens}
    columns = [pl.lit(value, pl.Int64).alias(name) for name, value in moment.items()]
    return rows.select(*columns, pl.all())


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"measure@{model}", lambda paths, config: main(paths, config, model))
