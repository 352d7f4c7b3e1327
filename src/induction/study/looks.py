"""Whether heads attend to the right places more than to as many wrong ones (paper, Argument 4)."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from induction.rules.head_kinds import Head
from induction.rules.intervals import Interval, mean_interval
from induction.study.attribution import read_heads

EVEN = 0.5


@dataclass(frozen=True)
class Looks:
    """Attention to one right place, as a share of that to one right and one wrong place.

    share: of the induction heads together, with its 95 % interval over prompts; 0.5 is even.
    over_random: how much larger it is than that of as many other heads. over_shuffled: than their
    own on the same prompts with the labels dealt out anew; None without such prompts. head,
    head_share, head_low, head_high: of the induction head with the most attention to right places.
    """

    share: float
    low: float
    high: float
    over_random: Interval | None
    over_shuffled: Interval | None
    head: Head
    head_share: float
    head_low: float
    head_high: float

    def looks_right(self) -> bool | None:
        """Whether all of them lie above what chance gives; None when an interval has it inside."""
        bounds = [(self.low - EVEN, self.high - EVEN), self.over_random, self.over_shuffled]
        known = [ends for ends in bounds if ends is not None]
        if all(low > 0 for low, _ in known):
            return True
        return False if any(high <= 0 for _, high in known) else None


def describe_looks(variant: pl.DataFrame, shuffled: pl.DataFrame) -> Looks | None:
    """From the rows of `looks` of one variant and of its control; None without induction heads."""
    own = _by_prompt(variant, "induction")
    if len(own) < 2 or not own.sum():
        return None
    share, deviations = _share(own)
    low, high = mean_interval(share + deviations) or (0.0, 1.0)
    others, control = _by_prompt(variant, "random"), _by_prompt(shuffled, "induction")
    single = variant.filter(~pl.col("heads").is_in(["induction", "random"]))
    best = single.group_by("heads").agg(pl.col("right").sum()).sort("right", "heads")["heads"][-1]
    of_best, its_deviations = _share(_by_prompt(variant, best))
    ends = mean_interval(of_best + its_deviations) or (0.0, 1.0)
    return Looks(
        *(share, low, high),
        over_random=_difference(own, others),
        over_shuffled=_difference(own, control),
        head=read_heads(best)[0],
        head_share=of_best,
        head_low=ends[0],
        head_high=ends[1],
    )


def _by_prompt(rows: pl.DataFrame, heads: str) -> np.ndarray:
    """Attention to a right and to a wrong place, summed over draws: [prompts, 2]."""
    of_set = rows.filter(pl.col("heads") == heads)
    sums = of_set.group_by("example").agg(pl.col("right", "wrong").sum()).sort("example")
    return sums.select("right", "wrong").to_numpy()


def _share(pairs: np.ndarray) -> tuple[float, np.ndarray]:
    """Σ right / Σ (right + wrong), and what each prompt moves it by, to first order: [prompts]."""
    total = pairs.sum(axis=1)
    share = float(pairs[:, 0].sum() / total.sum()) if total.sum() else EVEN
    mean = total.mean() or 1.0
    return share, (pairs[:, 0] - share * total) / mean


def _difference(one: np.ndarray, other: np.ndarray) -> Interval | None:
    """Interval of the difference of two shares on the same prompts; None where one is missing."""
    if len(one) != len(other) or len(one) < 2:
        return None
    (a, moves), (b, other_moves) = _share(one), _share(other)
    return mean_interval(a - b + moves - other_moves)
