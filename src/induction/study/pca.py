"""One principal-component analysis of the per-token losses of all snapshots of all models.

Each row is the per-token loss vector of one snapshot (paper, "Per-token-loss PCA"). The rows of
all models are put together, centred and not scaled: the paper states neither, and losses share
their unit. Components are fitted on the snapshots from `min_tokens` on, where the onset rule looks
too: an untrained model loses ln(vocabulary) on every token, and its way down to the frequencies of
single tokens would otherwise take up the first component. Earlier snapshots are projected.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from sklearn.decomposition import PCA

from induction.errors import StudyError
from induction.rules.curves import Curves
from induction.rules.phase_change import make_smoother
from induction.study.trajectory_angle import TrajectoryAngle


@dataclass(frozen=True)
class LossSpace:
    """The space of per-token losses, and every snapshot in it.

    explained_variance: [components], share of the variance of the fitted snapshots.
    mean: [entries of the per-token vector], of the fitted snapshots, in nats.
    components: [components, entries], of unit length, orthogonal; the largest loading of each is
    positive.
    scores: a row for each snapshot of each model: model, step, tokens, fitted (took part in the
    fit), pc1, pc2 … in nats (Euclidean length over the entries of the vector).
    """

    explained_variance: np.ndarray
    mean: np.ndarray
    components: np.ndarray
    scores: pl.DataFrame

    def path(self, model: str) -> np.ndarray:
        """One model's way through the space: [snapshots, components]."""
        return self.scores.filter(pl.col("model") == model).select(pl.col("^pc[0-9]+$")).to_numpy()


def fit_loss_space(models: Mapping[str, Curves], n_components: int, min_tokens: int) -> LossSpace:
    """Fit the components jointly and give the scores of every snapshot.

    There are fewer components when there are fewer fitted snapshots. Raises StudyError when the
    models were measured on different tokens, or fewer than two snapshots are left to fit.
    """
    lengths = {name: curves.per_token.shape[1] for name, curves in models.items()}
    if len(set(lengths.values())) > 1:
        raise StudyError(f"per-token losses differ in length: {lengths}: run `make study`")
    rows = np.concatenate([curves.per_token for curves in models.values()]).astype(np.float64)
    tokens = np.concatenate([curves.tokens for curves in models.values()])
    fitted = tokens >= min_tokens
    if fitted.sum() < 2:
        raise StudyError(
            f"phase_change.min_tokens: {min_tokens} leaves {fitted.sum()} snapshots for the "
            "analysis of per-token losses: lower it"
        )
    # The full decomposition is exact; scikit-learn fixes the signs by the largest loading.
    pca = PCA(min(n_components, fitted.sum(), rows.shape[1]), svd_solver="full").fit(rows[fitted])
    components = np.asarray(pca.components_)
    scores = np.asarray(pca.transform(rows))
    table = pl.DataFrame(
        {
            "model": [name for name, curves in models.items() for _ in curves.tokens],
            "step": np.concatenate([curves.step for curves in models.values()]),
            "tokens": tokens,
            "fitted": fitted,
            **{f"pc{k}": column for k, column in enumerate(scores.T, start=1)},
        }
    )
    shares, mean = np.asarray(pca.explained_variance_ratio_), np.asarray(pca.mean_)
    return LossSpace(shares, mean, components, table)


@dataclass(frozen=True)
class Explained:
    """What pca.json tells of the joint components.

    explained_variance: share of each component. explained_variance_smooth: of what is left of the
    variance when losses are smoothed over ln(tokens). noise: the share that smoothing takes away.
    fitted_snapshots: on how many the components were fitted. angles: by model; None without a band.
    """

    explained_variance: list[float]
    explained_variance_smooth: list[float]
    noise: float
    fitted_snapshots: int
    angles: dict[str, TrajectoryAngle | None]


@dataclass(frozen=True)
class SmoothPart:
    """How much of the variance is a path through the space, and how much noise of snapshots.

    noise: share of the variance of the fitted snapshots that a smooth path leaves over.
    explained_variance: [components], shares of the variance of the smooth paths.
    """

    noise: float
    explained_variance: np.ndarray


def smooth_part(
    models: Mapping[str, Curves], space: LossSpace, min_tokens: int, bandwidth: float
) -> SmoothPart:
    """Tell apart what two components could hold and what no few components can.

    With a constant learning rate, the weights of neighbouring snapshots differ by the noise of
    single batches, which has a direction of its own at each. The smooth path of a model is the
    local straight-line fit of the onset rule to every entry of its vectors, the noise what is left,
    with the residuals' degrees of freedom. Models with fewer than four fitted snapshots are left
    out; without any, there is neither noise nor variance.
    """
    rows, paths, left = [], [], 0.0
    for curves in models.values():
        seen = curves.tokens >= min_tokens
        if seen.sum() < 4:
            continue
        own, tokens = curves.per_token[seen].astype(np.float64), curves.tokens[seen]
        fit = make_smoother(tokens, bandwidth, tokens).level
        rows.append(own)
        paths.append(fit @ own)
        freedom = len(tokens) - np.trace(fit)
        left += float(((own - fit @ own) ** 2).sum() * len(tokens) / freedom)
    if not rows:
        return SmoothPart(0.0, np.zeros(len(space.components)))
    whole, path = np.concatenate(rows), np.concatenate(paths)
    path = path - path.mean(axis=0)
    along = ((path @ space.components.T) ** 2).sum(axis=0)
    return SmoothPart(
        noise=left / max(float(((whole - whole.mean(axis=0)) ** 2).sum()), np.finfo(float).tiny),
        explained_variance=along / max(float((path**2).sum()), np.finfo(float).tiny),
    )
