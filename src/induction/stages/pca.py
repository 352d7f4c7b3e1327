"""Stage pca: per-token losses of all models → components, trajectory angles, top-loading tokens."""

import numpy as np

from induction.config import StudyConfig
from induction.data.tokenizer import load_tokenizer
from induction.errors import StudyError
from induction.evaluation.evaluation_set import load_evaluation
from induction.files import whole_file, write_record
from induction.paths import StudyPaths
from induction.rules.curves import load_curves
from induction.rules.phase_change import find_phase_change
from induction.stages import run_stage
from induction.study.pca import Explained, fit_loss_space, smooth_part
from induction.study.top_loading_tokens import top_loading_tokens
from induction.study.trajectory_angle import find_trajectory_angle


def main(paths: StudyPaths, config: StudyConfig) -> None:
    settings, rule = config.pca, config.phase_change
    curves = {name: load_curves(paths, name) for name in config.usual.studied}
    space = fit_loss_space(curves, settings.components, rule.min_tokens)
    smooth = smooth_part(curves, space, rule.min_tokens, rule.bandwidth)

    angles = {}
    for name, model in curves.items():
        change = find_phase_change(model.tokens, model.icl_score, rule)
        angles[name] = change and find_trajectory_angle(
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
    top_loading = top_loading_tokens(
        space.components,
        evaluation.tokens.numpy(),
        evaluation.kept,
        load_tokenizer(paths.tokens),
        settings.top_loading_tokens,
        settings.context_tokens,
    )

    with whole_file(paths.pca_scores) as file:
        space.scores.write_parquet(file)
    with whole_file(paths.pca_tokens) as file:
        top_loading.write_parquet(file)
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
        angles=angles,
    )
    write_record(paths.pca, Explained, found)


if __name__ == "__main__":
    run_stage("pca", main)
