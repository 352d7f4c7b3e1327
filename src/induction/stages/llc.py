"""Stage llc@MODEL: snapshots of one model → its local learning coefficient over training."""

from typing import cast

import numpy as np
import polars as pl

from induction.config import StudyConfig, model_config
from induction.data.tokens import load_tokens
from induction.files import verify_folder
from induction.llc.snapshots import coefficients
from induction.model.compute import set_up_torch
from induction.model.interface import Measurable
from induction.model.transformer import Transformer
from induction.model.weights import Snapshot, evenly_picked, list_snapshots, load_snapshot
from induction.paths import StudyPaths
from induction.progress import Tell
from induction.stages import model_argument, run_stage
from induction.stages.over_snapshots import over_snapshots


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    model_config(config, name)
    device = set_up_torch(config.compute)
    for folder in (paths.snapshots(name), paths.tokens):
        verify_folder(folder)
    settings, train = config.llc, load_tokens(paths.tokens, "train")

    def work(
        snapshot: Snapshot, model: Measurable, tell: Tell
    ) -> tuple[dict[str, np.ndarray], dict[str, pl.DataFrame]]:
        moment = {"step": np.array(snapshot.step), "tokens": np.array(snapshot.tokens)}
        ours = cast("Transformer", model)
        return moment | coefficients(ours, train, settings, snapshot.step, tell), {}

    over_snapshots(
        *(paths, "llc", paths.llc(name)),
        evenly_picked(list_snapshots(paths.snapshots(name)), settings.snapshots),
        lambda snapshot: load_snapshot(snapshot.path).to(device),
        work,
    )


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"llc@{model}", lambda paths, config: main(paths, config, model))
