"""The measurements of one model as curves over training."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from induction.errors import StudyError
from induction.files import verify_folder
from induction.paths import StudyPaths


@dataclass(frozen=True)
class Curves:
    """One model over its snapshots, in order of training.

    tokens, loss, icl_score: [snapshots]; loss (mean over all indices) and score in nats.
    early, late: [snapshots, examples], mean losses over the two windows of the ICL score.
    per_index: [snapshots, n_ctx], mean loss at each index.
    heads: a row for each snapshot, layer and head, as in heads.parquet.
    """

    tokens: np.ndarray
    loss: np.ndarray
    icl_score: np.ndarray
    early: np.ndarray
    late: np.ndarray
    per_index: np.ndarray
    heads: pl.DataFrame

    def best_head(self, score: str) -> np.ndarray:
        """Highest value of a head score in each snapshot, over all heads: [snapshots]."""
        best = self.heads.group_by("step", maintain_order=True).agg(pl.col(score).max())
        return best[score].to_numpy()


def load_curves(paths: StudyPaths, model: str) -> Curves:
    """Read and verify the measurements of a model; StudyError names what is missing or damaged."""
    folder = paths.measurements(model)
    verify_folder(folder)
    try:
        with np.load(folder / "losses.npz") as arrays:
            early, late, per_index = arrays["early"], arrays["late"], arrays["per_index"]
            tokens = arrays["tokens"]
        heads = pl.read_parquet(folder / "heads.parquet")
    except (OSError, KeyError, ValueError, pl.exceptions.PolarsError) as error:
        raise StudyError(f"{folder}: not measurements of this study: {error}") from None
    return Curves(
        tokens=tokens,
        loss=per_index.mean(axis=1, dtype=np.float64),
        icl_score=late.mean(axis=1, dtype=np.float64) - early.mean(axis=1, dtype=np.float64),
        early=early,
        late=late,
        per_index=per_index,
        heads=heads,
    )
