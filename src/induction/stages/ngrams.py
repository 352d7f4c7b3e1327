"""Stage ngrams@MODEL: snapshots of one model → how far they are from n-gram predictors."""

import numpy as np
import polars as pl

from induction.config import StudyConfig, model_config
from induction.data.tokens import load_meta, load_tokens
from induction.evaluation.evaluation_set import load_evaluation
from induction.files import verify_folder
from induction.model.compute import set_up_torch
from induction.model.interface import Measurable
from induction.model.weights import Snapshot, list_snapshots, load_snapshot
from induction.ngrams.divergence import divergences, predictions
from induction.paths import StudyPaths
from induction.progress import Tell
from induction.stages import leave_out, model_argument, run_stage
from induction.stages.over_snapshots import over_snapshots


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    model_config(config, name)
    if config.models[name].experiment:
        leave_out(paths, paths.ngrams(name))
        return
    device = set_up_torch(config.compute)
    verify_folder(paths.snapshots(name))
    settings = config.evaluation
    evaluation = load_evaluation(paths.tokens, config.model.n_ctx, settings)
    evaluation = evaluation.first(settings.pattern_examples)
    train, d_vocab = load_tokens(paths.tokens, "train"), load_meta(paths.tokens).d_vocab
    predicted = predictions(evaluation, train, d_vocab)

    def work(
        snapshot: Snapshot, model: Measurable, tell: Tell
    ) -> tuple[dict[str, np.ndarray], dict[str, pl.DataFrame]]:
        moment = {"step": np.array(snapshot.step), "tokens": np.array(snapshot.tokens)}
        return moment | divergences(model, evaluation, predicted), {}

    over_snapshots(
        *(paths, "ngrams", paths.ngrams(name), list_snapshots(paths.snapshots(name))),
        lambda snapshot: load_snapshot(snapshot.path).to(device),
        work,
    )


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"ngrams@{model}", lambda paths, config: main(paths, config, model))
