"""The turn of made ways: straight, evenly bent, pivoting, leaving for the time of the band."""

import numpy as np
import pytest
from made_curves import TOKENS, X

from induction.study.trajectory_angle import TrajectoryAngle, find_trajectory_angle

BAND = (3e6, 4.5e6)
MIDDLE = np.log(3.67e6)


def turn_of(x: np.ndarray, y: np.ndarray, noise: float = 0.02, seed: int = 0) -> TrajectoryAngle:
    path = np.stack([x, y], axis=1)
    path = path + noise * np.random.default_rng(seed).standard_normal(path.shape)
    turn = find_trajectory_angle(TOKENS, path, BAND, 100_000, 0.15, shuffles=200, seed=0)
    assert turn is not None
    return turn


def pivot_at(place: float) -> tuple[np.ndarray, np.ndarray]:
    """A right angle."""
    return np.minimum(X - place, 0), np.maximum(X - place, 0)


def test_a_pivot_inside_the_band_is_the_turn_at_the_band():
    turn = turn_of(*pivot_at(MIDDLE))
    assert turn.inside == pytest.approx(90, abs=6)
    assert turn.outside < 12
    assert turn.null_percentile > 98
    assert turn.width == pytest.approx(np.log(1.5))


def test_a_pivot_elsewhere_is_not():
    turn = turn_of(*pivot_at(np.log(8e5)))
    assert turn.inside < 12
    assert turn.outside > 15
    assert turn.null_percentile < 30


def test_leaving_the_direction_for_the_time_of_the_band_counts_twice():
    turn = turn_of(X, -2.0 / (1.0 + np.exp(-(X - MIDDLE) / 0.08)))
    assert turn.inside > 60
    assert turn.inside > 3 * turn.outside
    assert turn.null_percentile > 90


def test_an_even_bend_turns_as_much_everywhere():
    angle = (X - np.log(1e5)) / 3.0
    turn = turn_of(3 * np.sin(angle), 3 * np.cos(angle), noise=0.0)
    expected = np.degrees(turn.width / 3.0)  # a circle: the angle of one stretch at every cut
    assert turn.inside == pytest.approx(2 * expected, rel=0.05)
    assert turn.outside == pytest.approx(2 * expected, rel=0.05)


@pytest.mark.parametrize("noise", [0.02, 0.1])
def test_straight_ways_lie_anywhere_among_their_shuffles(noise):
    percentiles = [turn_of(X, 0 * X, noise, seed).null_percentile for seed in range(40)]
    assert 30 < np.median(percentiles) < 75
    assert np.mean(np.array(percentiles) > 95) <= 0.15


def test_size_and_orientation_of_the_plane_do_not_matter():
    x, y = pivot_at(MIDDLE)
    a, b = turn_of(x, y, noise=0.0), turn_of(5 * (x - 2 * y), 5 * (2 * x + y), noise=0.0)
    assert b.inside == pytest.approx(a.inside)
    assert b.null_percentile == a.null_percentile


def test_a_perfectly_straight_way_has_no_turn():
    turn = turn_of(X, 0 * X, noise=0.0)
    assert turn.inside == pytest.approx(0.0, abs=1e-6)
    assert turn.outside == pytest.approx(0.0, abs=1e-6)


def test_a_band_that_lasts_to_the_end_turns_at_its_start():
    path = np.stack(pivot_at(np.log(8e6)), axis=1)
    turn = find_trajectory_angle(TOKENS, path, (7.5e6, TOKENS[-1]), 100_000, 0.15, 100, 0)
    assert turn is not None
    assert 30 < turn.inside < 100
    assert turn.inside > 5 * turn.outside


def test_nothing_to_compare_is_none():
    path = np.stack([X, X**2], axis=1)
    everything = (TOKENS[5], TOKENS[-1])
    assert find_trajectory_angle(TOKENS, path, everything, int(TOKENS[5]), 0.15, 10, 0) is None
    assert find_trajectory_angle(TOKENS, path[:, :1], BAND, 100_000, 0.15, 10, 0) is None
    assert find_trajectory_angle(TOKENS[-3:], path[-3:], BAND, 100_000, 0.15, 10, 0) is None
