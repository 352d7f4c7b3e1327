"""Stage pca: per-token losses of all models → components, turns and heaviest tokens."""

import numpy as np

from induction.config import StudyConfig
from induction.data.tokenizer import load_tokenizer
from induction.errors import StudyError
from induction.files import whole_file, write_record
from induction.measure.evaluation import load_evaluation
from induction.paths import StudyPaths
from induction.stages import run_stage
from induction.study.curves import load_curves
from induction.study.heavy_tokens import heavy_tokens
from induction.study.pca import Explained, fit_loss_space, smooth_part
from induction.study.phase_change import find_phase_change
from induction.study.turn import find_turn


def main(paths: StudyPaths, config: StudyConfig) -> None:
    settings, rule = config.pca, config.phase_change
    curves = {name: load_curves(paths, name) for name in config.usual.studied}
    space = fit_loss_space(curves, settings.components, rule.min_tokens)
    smooth = smooth_part(curves, space, rule.min_tokens, rule.bandwidth)

    turns = {}
    for name, model in curves.items():
        change = find_phase_change(model.tokens, model.icl_score, rule)
        turns[name] = change and find_turn(
            model.tokens,
            space.path(name),
            change.band_tokens,
            rule.min_tokens,
            rule.bandwidth,
            settings.shuffles,
            settings.seed,
        )

    evaluation = load_evaluation(paths.tokens, config.model.n_ctx, config.evaluation)
    if evaluation.kept.size != space.components.shape[1]:
        raise StudyError(f"{paths.tokens}: not what the models were measured on: run `make study`")
    heavy = heavy_tokens(
        space.components,
        evaluation.tokens.numpy(),
        evaluation.kept,
        load_tokenizer(paths.tokens),
        settings.heavy_tokens,
        settings.context_tokens,
    )

    with whole_file(paths.pca_scores) as file:
        space.scores.write_parquet(file)
    with whole_file(paths.pca_tokens) as file:
        heavy.write_parquet(file)
    with whole_file(paths.pca_basis) as file, file.open("wb") as stream:
        np.savez(
            stream,
            mean=space.mean.astype(np.float32),
            components=space.components.astype(np.float32),
        )
    found = Explained(
        explained_variance=[round(float(s), 5) for s in space.explained_variance],
        explained_variance_smooth=[round(float(s), 5) for s in smooth.explained_variance],
        noise=round(smooth.noise, 5),
        fitted_snapshots=int(space.scores["fitted"].sum()),
        turns=turns,
    )
    write_record(paths.pca, Explained, found)


if __name__ == "__main__":
    run_stage("pca", main)
