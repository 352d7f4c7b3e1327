"""Whether the onset follows the root of the batch (Aoyama et al. 2025, arXiv 2511.16893).

The rule is that of reports/beyond.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from induction.study.beyond.experiments import Group, Zoo, have_seeds, untouched
from induction.study.over_seeds.resampling import Mean
from induction.study.verdicts.verdict import Outcome

SLOPE = 0.5
MIN_SIZES = 3
SAME, SCALED = "same rates", "rates times the root of the batch"


@dataclass(frozen=True)
class Series:
    """Kinds that differ in their batch or context, or in their rates with it.

    sizes: tokens of each group's batch, or of its context. onset_slope, heads_slope: of ln(tokens)
    on ln(size), over seeds; None where a model has no complete change, or no heads.
    """

    name: str
    sizes: tuple[int, ...]
    groups: tuple[Group, ...]
    onset_slope: Mean | None
    heads_slope: Mean | None

    @property
    def slopes(self) -> list[Mean]:
        return [slope for slope in (self.onset_slope, self.heads_slope) if slope]


@dataclass(frozen=True)
class BatchLaw:
    outcome: Outcome = "not tested"
    series: tuple[Series, ...] = ()

    @property
    def groups(self) -> list[Group]:
        return [group for each in self.series for group in each.groups]


def batch_law(zoo: Zoo, usual: int) -> BatchLaw:
    """Ask the first untouched kind that has both series. usual: train.batch_tokens."""
    for kind in untouched(zoo):
        found = []
        for name in (SAME, SCALED):
            groups = {usual: Group(_done(usual), zoo[kind])}
            for other, models in zoo.items():
                batch = other.batch_tokens
                factor = (batch / usual) ** 0.5 if batch and name == SCALED else 1.0
                own = {"batch_tokens": batch, "rate_factor": other.rate_factor}
                alike = kind.model_copy(update={**own, "tokens": other.tokens}) == other
                if batch and alike and np.isclose(other.rate_factor, factor, rtol=0.01):
                    groups[batch] = Group(_done(batch), models)
            if len(groups) >= MIN_SIZES:
                found.append(make_series(name, groups))
        if len(found) == len((SAME, SCALED)) and have_seeds(g for s in found for g in s.groups):
            return BatchLaw(decide(found), tuple(found))
    return BatchLaw()


def make_series(name: str, groups: Mapping[int, Group]) -> Series:
    """The slopes over groups, by the tokens of their batch or context."""
    sizes = tuple(sorted(groups))
    kinds = tuple(groups[size] for size in sizes)
    return Series(
        name,
        sizes,
        kinds,
        slope(sizes, [group.onsets for group in kinds]),
        slope(sizes, [group.heads_formed for group in kinds]),
    )


def decide(series: Sequence[Series]) -> Outcome:
    """The outcome by the rule, over all series."""
    if any(len(each.slopes) < 2 for each in series):
        return "inconclusive"
    if all(map(_as_claimed, (slope for each in series for slope in each.slopes))):
        return "supported"
    wrong = [any(not s.low <= SLOPE <= s.high for s in each.slopes) for each in series]
    return "not supported" if all(wrong) else "inconclusive"


def slope(sizes: Sequence[int], groups: Sequence[Sequence[float] | None]) -> Mean | None:
    """Least squares of all seeds' ln(tokens) on ln(size), with its 95 % interval."""
    whole = [group for group in groups if group is not None]
    if len(whole) < len(groups):
        return None
    x = np.log(np.repeat(np.array(sizes, dtype=float), [len(group) for group in whole]))
    y = np.concatenate(whole)
    x, y = x - x.mean(), y - y.mean()
    found = (x @ y) / (x @ x)
    error = np.sqrt(((y - found * x) ** 2).sum() / (len(x) - 2) / (x @ x))
    half = float(stats.t.ppf(0.975, len(x) - 2) * error)
    return Mean(float(found), float(found) - half, float(found) + half)


def _as_claimed(found: Mean) -> bool:
    return found.low <= SLOPE <= found.high and found.low > 0 and found.high < 1


def _done(batch: int) -> str:
    return f"batch of {batch:,} tokens"
