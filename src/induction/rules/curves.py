"""The measurements of one model as curves over training."""

import zlib
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import polars as pl

from induction.errors import StudyError
from induction.files import verify_folder
from induction.paths import StudyPaths


@dataclass(frozen=True)
class Curves:
    """One model over its snapshots, in order of training.

    step, tokens, loss, icl_score: [snapshots]; loss (mean over all indices) and score in nats.
    early, late: [snapshots, examples], mean losses over the two windows of the ICL score.
    per_index: [snapshots, n_ctx], mean loss at each index.
    per_token: [snapshots, entries], losses of the kept tokens of every example.
    prefix_sequences: [snapshots, heads, sequences], prefix matching on each probe sequence.
    heads: a row for each snapshot, layer and head, as in heads.parquet.
    uncopyable: [snapshots, 2], mean losses over the targets of the early and of the late window
    that the context does not let one copy; None for models of others.
    per_character: [snapshots], mean loss of a character in nats; None where it was not measured.
    """

    step: np.ndarray
    tokens: np.ndarray
    loss: np.ndarray
    icl_score: np.ndarray
    early: np.ndarray
    late: np.ndarray
    per_index: np.ndarray
    per_token: np.ndarray
    prefix_sequences: np.ndarray
    heads: pl.DataFrame
    per_character: np.ndarray | None = None
    uncopyable: np.ndarray | None = None

    def best_head(self, score: str) -> np.ndarray:
        """Highest value of a head score in each snapshot, over all heads: [snapshots]."""
        best = self.heads.group_by("step", maintain_order=True).agg(pl.col(score).max())
        return best[score].to_numpy()

    @property
    def last_heads(self) -> pl.DataFrame:
        """The rows of the last snapshot: a row for each head."""
        return self.heads.filter(pl.col("step") == self.step[-1])

    def final_icl(self, examples: int) -> float:
        """ICL score of the last snapshot over the first examples of the evaluation set, in nats."""
        return float((self.late - self.early)[-1, :examples].mean())


def load_curves(paths: StudyPaths, model: str) -> Curves:
    """Read and verify the measurements of a model.

    Raises StudyError naming what is missing, damaged, of another shape or not a finite number.
    """
    folder = paths.measurements(model)
    verify_folder(folder)
    try:
        with np.load(folder / "losses.npz") as arrays:
            early, late, per_index = arrays["early"], arrays["late"], arrays["per_index"]
            step, tokens, per_token = arrays["step"], arrays["tokens"], arrays["per_token"]
            prefix_sequences = arrays["prefix_sequences"]
            per_character = arrays.get("per_character")
            uncopyable = arrays.get("uncopyable")
        heads = pl.read_parquet(folder / "heads.parquet")
        _check(
            step, tokens, early, late, per_index, per_token, prefix_sequences, heads, per_character
        )
    except (
        *(OSError, EOFError, KeyError, TypeError, ValueError, BadZipFile, zlib.error),
        *(pl.exceptions.PolarsError, pl.exceptions.PanicException),
    ) as error:
        raise StudyError(
            f"{folder}: not measurements of this study: {error}: delete it and run `make study`"
        ) from None
    return Curves(
        step=step,
        tokens=tokens,
        loss=per_index.mean(axis=1, dtype=np.float64),
        icl_score=late.mean(axis=1, dtype=np.float64) - early.mean(axis=1, dtype=np.float64),
        early=early,
        late=late,
        per_index=per_index,
        per_token=per_token,
        prefix_sequences=prefix_sequences.reshape(len(step), -1, prefix_sequences.shape[-1]),
        heads=heads,
        per_character=per_character,
        uncopyable=uncopyable,
    )


def read_table(path: Path) -> pl.DataFrame:
    """A table of the study; StudyError names the file when it is missing or damaged."""
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise StudyError(
            f"{path}: not a table of this study: {error}: delete its folder and run `make study`"
        ) from None


def _check(
    step: np.ndarray,
    tokens: np.ndarray,
    early: np.ndarray,
    late: np.ndarray,
    per_index: np.ndarray,
    per_token: np.ndarray,
    prefix_sequences: np.ndarray,
    heads: pl.DataFrame,
    per_character: np.ndarray | None,
) -> None:
    """ValueError for what `measure` never writes."""
    if step.ndim != 1 or tokens.shape != step.shape or not len(step):
        raise ValueError("steps and tokens are not one number for each snapshot")
    if (np.diff(step) <= 0).any():
        raise ValueError("its snapshots are not in order of training")
    if early.shape != late.shape:
        raise ValueError("early and late windows differ in shape")
    for name, losses in (
        *(("early", early), ("late", late)),
        *(("per_index", per_index), ("per_token", per_token)),
    ):
        if losses.ndim != 2 or len(losses) != len(step):
            raise ValueError(f"{name}: not a row for each of {len(step)} snapshots")
        if not np.isfinite(losses).all():
            raise ValueError(f"{name}: holds losses that are not finite numbers")
    if per_character is not None and per_character.shape != step.shape:
        raise ValueError("per_character: not one number for each snapshot")
    if prefix_sequences.ndim < 2 or len(prefix_sequences) != len(step):
        raise ValueError(f"prefix_sequences: not one for each of {len(step)} snapshots")
    if missing := {"step", "tokens", "layer", "head"} - set(heads.columns):
        raise ValueError(f"heads.parquet: has no column {min(missing)}")
    if set(heads["step"]) != set(step.tolist()):
        raise ValueError("heads.parquet: its steps are not those of losses.npz")
