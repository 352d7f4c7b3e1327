"""What a model does while its induction heads, or as many others, are turned down and up: the
measures of reports/beyond.md, sample by sample and as a curve over scales."""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import polars as pl

from induction.files import verify_folder
from induction.files.tables import read_table
from induction.paths import StudyPaths

COPYING, FEW_SHOT, REPETITION, LOSS = "literal copying", "few-shot", "repetition", "loss"
MEASURES = (COPYING, FEW_SHOT, REPETITION, LOSS)
INDUCTION, RANDOM = "induction", "random"

_COPIED = "random"  # the variant of literal copying that is judged
_CURVES = {
    **dict.fromkeys(("measure", "heads"), pl.String),
    **dict.fromkeys(("scale", "value", "low", "high"), pl.Float64),
    **dict.fromkeys(("change", "change_low", "change_high", "real"), pl.Float64),
}
_COLUMNS = {"measure", "variant", "heads", "draw", "scale", "example", "value", "chance"}


@dataclass(frozen=True)
class SampleMean:
    """A mean over samples with its 95 % interval, wider where several are looked at."""

    mean: float
    low: float
    high: float


class Steered:
    """The table of one model in data/beyond/steering; see induction.steer.measures."""

    def __init__(self, table: pl.DataFrame) -> None:
        self._table = table.filter(
            (pl.col("measure") != COPYING) | (pl.col("variant") == _COPIED)
        ).sort("example")

    @property
    def scales(self) -> list[float]:
        """In ascending order; none of a model without induction heads."""
        return self._table["scale"].unique().sort().to_list()

    @property
    def controlled(self) -> bool:
        """Whether there were other heads enough to scale."""
        return not self._table.filter(pl.col("heads") == RANDOM).is_empty()

    def has(self, measure: str) -> bool:
        """Whether the model could be asked."""
        return not self._table.filter(pl.col("measure") == measure).is_empty()

    def chance(self, task: str) -> float:
        return float(self._table.filter(pl.col("measure") == task)["chance"][0])

    def samples(self, measure: str, scale: float, heads: str = INDUCTION) -> np.ndarray:
        """The value of each sample, mean over variants and sets of heads: [samples]."""
        rows = self._table.filter(
            (pl.col("measure") == measure)
            & (pl.col("scale") == scale)
            & (pl.col("heads") == (heads if scale != 1 else "none"))
        )
        means = rows.group_by("example", maintain_order=True).agg(pl.col("value").mean())
        return means["value"].to_numpy()

    def curves(self) -> pl.DataFrame:
        """A row for each measure, set of heads (induction; random, mean over sets) and scale.

        value: with low and high, its 95 % interval. change: from scale 1, sample by sample, with
        its interval. real: of repetition, that of the real continuations, else null.
        """
        rows = [
            {
                **{"measure": measure, "heads": heads, "scale": scale},
                **_columns("value", "", mean_of(own)),
                **_columns("change", "change_", mean_of(own - before)),
                "real": self._real() if measure == REPETITION else None,
            }
            for measure in MEASURES
            if self.has(measure)
            for heads in (INDUCTION, RANDOM)
            if heads == INDUCTION or self.controlled
            for before in [self.samples(measure, 1.0)]
            for scale in self.scales
            for own in [self.samples(measure, scale, heads)]
        ]
        return pl.DataFrame(rows, schema=_CURVES)

    def _real(self) -> float:
        """Repetition of the real continuations."""
        real = self._table.filter(pl.col("heads") == "text")["value"].to_list()
        return sum(real) / len(real)


def _columns(name: str, prefix: str, found: SampleMean) -> dict[str, float]:
    return {name: found.mean, f"{prefix}low": found.low, f"{prefix}high": found.high}


def mean_of(samples: np.ndarray, looks: int = 1) -> SampleMean:
    """Mean of two samples or more, with its normal 95 % interval, by Bonferroni for so many looks:
    all of these intervals hold together in 95 % of cases at least."""
    mean = float(samples.mean(dtype=np.float64))
    error = float(samples.std(ddof=1, dtype=np.float64)) / len(samples) ** 0.5
    reach = NormalDist().inv_cdf(1 - 0.025 / looks) * error
    return SampleMean(mean, mean - reach, mean + reach)


def load_steered(paths: StudyPaths, model: str) -> Steered:
    """Read and verify the table of a model.

    Raises StudyError naming what is missing, damaged, or lacks a column.
    """
    verify_folder(paths.steering(model))
    table = read_table(paths.steering(model) / "scaled.parquet", _COLUMNS)
    return Steered(table)
