"""Intervals of means: known samples, and that they cover what they should."""

import numpy as np
import pytest

from induction.rules.intervals import mean_bounds, mean_interval


def test_the_interval_is_centred_and_shrinks_with_the_root_of_the_samples():
    random = np.random.default_rng(0)
    few, many = random.standard_normal(100), random.standard_normal(10_000)
    for samples in (few, many):
        low, high = mean_interval(samples) or (0.0, 0.0)
        assert (low + high) / 2 == pytest.approx(samples.mean())
        expected = 2 * 1.96 * samples.std(ddof=1) / len(samples) ** 0.5
        assert high - low == pytest.approx(expected)


def test_it_covers_the_mean_about_95_times_in_100():
    rows = np.random.default_rng(1).exponential(size=(2000, 200))
    low, high = mean_bounds(rows)
    covered = ((low <= 1.0) & (high >= 1.0)).mean()
    assert 0.92 <= covered <= 0.97


def test_one_sample_has_no_interval():
    assert mean_interval(np.array([1.0])) is None
