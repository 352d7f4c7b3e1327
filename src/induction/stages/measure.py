"""Stage measure@MODEL: snapshots of one model → its losses and head scores over training."""

import numpy as np
import polars as pl

from induction.config import StudyConfig, model_config
from induction.environment import environment
from induction.files import published_folder, verify_folder
from induction.measure import ARRAYS, HEADS, PAIRS
from induction.measure.evaluation import load_evaluation
from induction.model.compute import set_up_torch
from induction.model.weights import Snapshot, list_snapshots, load_snapshot
from induction.paths import StudyPaths
from induction.progress import progress
from induction.stages import model_argument, run_stage


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    model_config(config, name)
    device = set_up_torch(config.compute)
    verify_folder(paths.snapshots(name))
    evaluation = load_evaluation(paths.tokens, config.model.n_ctx, config.evaluation)
    snapshots = list_snapshots(paths.snapshots(name))
    arrays: list[dict[str, np.ndarray]] = []
    heads: list[pl.DataFrame] = []
    pairs: list[pl.DataFrame] = []
    with (
        published_folder(
            paths.measurements(name), paths.scratch, {"environment": environment(paths.lock)}
        ) as folder,
        progress(len(snapshots), "snapshots") as report,
    ):
        for done, snapshot in enumerate(snapshots, start=1):
            model = load_snapshot(snapshot.path).to(device)
            arrays.append(
                {
                    key: value
                    for measure in ARRAYS
                    for key, value in measure(model, evaluation).items()
                }
            )
            scores = {
                key: value for measure in HEADS for key, value in measure(model, evaluation).items()
            }
            heads.append(_head_rows(snapshot, scores))
            pairs.append(_at(snapshot, PAIRS(model)))
            report(done, f"step {snapshot.step}")
        stacked = {key: np.stack([row[key] for row in arrays]) for key in arrays[0]}
        stacked["step"] = np.array([snapshot.step for snapshot in snapshots])
        stacked["tokens"] = np.array([snapshot.tokens for snapshot in snapshots])
        np.savez(folder / "losses.npz", allow_pickle=False, **stacked)
        pl.concat(heads).write_parquet(folder / "heads.parquet")
        pl.concat(pairs).write_parquet(folder / "circuits.parquet")


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
    moment = (pl.lit(snapshot.step).alias("step"), pl.lit(snapshot.tokens).alias("tokens"))
    return rows.select(*moment, pl.all())


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"measure@{model}", lambda paths, config: main(paths, config, model))
