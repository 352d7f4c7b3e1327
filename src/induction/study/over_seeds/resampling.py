"""Exact and random permutation tests, and intervals over seeds. All p-values are one-sided."""

import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

_DRAWS = 10_000
_ALL = sys.maxsize  # resamples: SciPy goes through all that differ where there are fewer
_MOST_EXACT = 16  # pairs whose signs are flipped in all ways; more are drawn


class Mean(NamedTuple):
    """A mean over seeds with the ends of its interval; both are the mean itself where the seeds do
    not differ or there is one."""

    value: float
    low: float
    high: float


def holm(p_values: Mapping[int, float]) -> dict[int, float]:
    """p-values corrected for their number, by their keys (Holm 1979): never below one's own."""
    corrected, greatest = {}, 0.0
    for place, (key, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        greatest = max(greatest, min(1.0, p * (len(p_values) - place)))
        corrected[key] = greatest
    return corrected


def p_lower(sample: Sequence[float], other: Sequence[float]) -> float:
    """That the mean of a sample is this far below that of the other one or further, if their
    members were exchanged at random; over all exchanges."""
    found = stats.permutation_test(
        (np.array(sample), np.array(other)),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        alternative="less",
        n_resamples=_ALL,
        vectorized=True,
    )
    return float(found.pvalue)


def p_positive(differences: Sequence[float], seed: int) -> float:
    """That the mean is this great or greater, if each difference had either sign; over all signs,
    or over 10,000 draws of them where there are more than 16 differences."""
    exact = len(differences) <= _MOST_EXACT
    found = stats.permutation_test(
        (np.array(differences),),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        alternative="greater",
        n_resamples=_ALL if exact else _DRAWS,
        vectorized=True,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def p_paired(first: np.ndarray, second: np.ndarray, seed: int) -> float:
    """That the mean distance of the pairs is this small or smaller, if they were paired at random:
    10,000 draws."""
    random = np.random.default_rng(seed)
    observed = np.abs(first - second).mean()
    drawn = [np.abs(first - random.permutation(second)).mean() for _ in range(_DRAWS)]
    return float((1 + np.sum(np.array(drawn) <= observed + 1e-12)) / (1 + _DRAWS))


def p_labels(groups: Sequence[tuple[np.ndarray, np.ndarray]], seed: int) -> float:
    """That the share of labelled members that pass, less that of the others, is this great or
    greater, if the labels were shuffled within each group: 10,000 draws.

    groups: labels and passes of each, [members] of booleans.
    """
    random = np.random.default_rng(seed)
    observed = _difference(groups)
    drawn = [
        _difference([(random.permutation(labels), passes) for labels, passes in groups])
        for _ in range(_DRAWS)
    ]
    return float((1 + np.sum(np.array(drawn) >= observed - 1e-12)) / (1 + _DRAWS))


def _difference(groups: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    labels, passes = (np.concatenate(column) for column in zip(*groups, strict=True))
    return float(passes[labels].mean() - passes[~labels].mean())


def mean_over_seeds(values: Sequence[float]) -> Mean:
    """The mean of independent seeds with its 95 % t-interval."""
    mean = float(np.mean(values))
    if len(values) < 2 or np.ptp(values) == 0:
        return Mean(mean, mean, mean)
    ends = stats.ttest_1samp(values, mean).confidence_interval(0.95)
    return Mean(mean, float(ends.low), float(ends.high))


def difference_over_seeds(
    sample: Sequence[float], other: Sequence[float], confidence: float = 0.95
) -> Mean:
    """Difference of the means of two kinds, with Welch's t-interval."""
    mean = float(np.mean(sample) - np.mean(other))
    if np.ptp(sample) == 0 and np.ptp(other) == 0:
        return Mean(mean, mean, mean)
    found = stats.ttest_ind(sample, other, equal_var=False).confidence_interval(confidence)
    return Mean(mean, float(found.low), float(found.high))


def p_within(sample: Sequence[float], other: Sequence[float], bound: float) -> float:
    """That two means lie within a bound of each other (two one-sided t-tests): the greater p."""
    if np.ptp(sample) == 0 and np.ptp(other) == 0:
        return 0.0 if abs(np.mean(sample) - np.mean(other)) < bound else 1.0
    shifted = np.array(sample)
    above = stats.ttest_ind(shifted + bound, other, equal_var=False, alternative="greater")
    below = stats.ttest_ind(shifted - bound, other, equal_var=False, alternative="less")
    return max(float(np.asarray(test)[1]) for test in (above, below))


def share_interval(count: int, total: int) -> Mean:
    """A share with its exact 95 % interval (Clopper and Pearson)."""
    ends = stats.binomtest(count, total).proportion_ci(0.95, method="exact")
    return Mean(count / total, float(ends.low), float(ends.high))
