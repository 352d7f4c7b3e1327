"""The onset rule on made curves: sharp, slow, two-step, noisy, none."""

import numpy as np
import pytest
from made_curves import RULE, TOKENS, step

from induction.rules.phase_change import (
    around_peak,
    find_phase_change,
    first_crossing,
    make_smoother,
    onset_interval,
)


def test_a_sharp_change_is_found_where_it_is():
    change = find_phase_change(TOKENS, step(3e6, 0.8, 0.08), RULE)
    assert change is not None
    first, last = change.band_tokens
    assert first < 3e6 < last
    assert last / first < 1.9
    assert change.onset_tokens == first
    assert 0.4 < change.drop < 0.8
    assert change.complete


def test_the_band_of_a_logistic_step_has_its_theoretical_width():
    """A logistic's slope is half its peak at ±1.763 widths (no smoothing: narrow bandwidth)."""
    dense = np.exp(np.linspace(np.log(2e5), np.log(2e7), 2000))
    width = 0.3
    score = -1.0 / (1.0 + np.exp(-(np.log(dense) - np.log(2e6)) / width))
    rule = RULE.model_copy(update={"bandwidth": 0.01})
    change = find_phase_change(dense, score, rule)
    assert change is not None
    first, last = np.log(change.band_tokens)
    assert last - first == pytest.approx(2 * 1.7627 * width, rel=0.03)
    assert change.slope == pytest.approx(1.0 / (4 * width), rel=0.01)
    assert change.drop == pytest.approx(np.tanh(1.7627 / 2), rel=0.02)


@pytest.mark.parametrize(
    "score",
    [
        np.zeros_like(TOKENS),
        -0.05 * np.log1p(TOKENS / 1e5),  # slow and steady
        step(3e6, 0.1, 0.05),  # sharp, too small
        step(3e6, 0.8, 1.2),  # large, too slow
        0.01 * np.random.default_rng(0).standard_normal(len(TOKENS)),
    ],
    ids=["flat", "slow", "small", "gradual", "noise"],
)
def test_no_change_is_called_none(score):
    assert find_phase_change(TOKENS, score, RULE) is None


def test_of_two_steps_the_steeper_one_counts():
    score = step(6e5, 0.3, 0.1) + step(4e6, 0.7, 0.1)
    change = find_phase_change(TOKENS, score, RULE)
    assert change is not None
    assert 2e6 < change.onset_tokens < 4e6


def test_noise_does_not_move_the_onset_much():
    clean = find_phase_change(TOKENS, step(3e6, 0.8, 0.1), RULE)
    noise = 0.02 * np.random.default_rng(1).standard_normal(len(TOKENS))
    noisy = find_phase_change(TOKENS, step(3e6, 0.8, 0.1) + noise, RULE)
    assert clean is not None
    assert noisy is not None
    assert abs(np.log(noisy.onset_tokens / clean.onset_tokens)) < 0.15


def test_an_unfinished_change_says_so():
    change = find_phase_change(TOKENS, step(8e6, 1.0, 0.12), RULE)
    assert change is not None
    assert not change.complete
    assert change.band_tokens[1] == pytest.approx(TOKENS[-1])


def test_what_happens_before_min_tokens_is_not_looked_at():
    score = step(4e4, 1.0, 0.1)
    assert find_phase_change(TOKENS, score, RULE) is None
    early = RULE.model_copy(update={"min_tokens": 1})
    assert find_phase_change(TOKENS, score, early) is not None


def test_too_few_snapshots_give_none():
    assert find_phase_change(TOKENS[-3:], step(3e6, 0.8, 0.1)[-3:], RULE) is None
    assert find_phase_change(np.array([0.0]), np.array([0.0]), RULE) is None


def test_the_smoother_reproduces_straight_lines():
    tokens = TOKENS[5:]
    smoother = make_smoother(tokens, 0.15)
    line = 2.0 - 0.7 * np.log(tokens)
    np.testing.assert_allclose(smoother.slope @ line, -0.7, atol=1e-8)
    np.testing.assert_allclose(smoother.level @ line, 2.0 - 0.7 * smoother.x, atol=1e-8)


def test_the_smoother_can_look_at_chosen_places():
    tokens, places = TOKENS[5:], np.array([5e5, 2e6])
    smoother = make_smoother(tokens, 0.15, places)
    assert smoother.level.shape == (2, len(tokens))
    np.testing.assert_allclose(smoother.level @ np.log(tokens), np.log(places), atol=1e-8)
    np.testing.assert_allclose(smoother.slope @ np.log(tokens), 1.0, atol=1e-8)


def test_the_stretch_around_a_peak_ends_where_the_rate_is_below_the_share():
    rate = np.array([0.9, 0.2, 0.5, 0.8, 1.0, 0.6, 0.4, 0.7])
    assert around_peak(rate, 0.5) == (2, 5)
    assert around_peak(rate, 0.1) == (0, 7)


def test_the_interval_holds_the_onset_and_shrinks_with_more_examples():
    random = np.random.default_rng(2)
    widths = []
    for examples in (20, 500):
        late = step(3e6, 0.8, 0.1)[:, None] + 0.5 * random.standard_normal(examples)
        late = late + 0.1 * random.standard_normal((len(TOKENS), examples))
        early = np.zeros_like(late)
        interval = onset_interval(TOKENS, early, late, RULE, resamples=100, seed=0)
        change = find_phase_change(TOKENS, late.mean(axis=1), RULE)
        assert interval is not None
        assert change is not None
        assert interval[0] <= change.onset_tokens <= interval[1]
        widths.append(np.log(interval[1] / interval[0]))
    assert widths[1] < widths[0]


def test_no_interval_without_a_change():
    flat = np.zeros((len(TOKENS), 10))
    assert onset_interval(TOKENS, flat, flat, RULE, resamples=20, seed=0) is None


def test_first_crossing_is_interpolated_in_ln_tokens():
    tokens = np.array([0.0, 1e3, 1e5, 1e6])
    score = np.array([0.9, 0.0, 0.5, 0.6])  # the untrained model does not count
    assert first_crossing(tokens, score, 0.25) == pytest.approx(1e4)
    assert first_crossing(tokens, score, 0.7) is None
    assert first_crossing(tokens, score, 0.0) == 1e3
