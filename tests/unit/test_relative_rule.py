"""The onset rule without units: what counts, and what it does not hang on."""

import numpy as np
import pytest
from made_curves import NOISE, RULE, TOKENS, X, step

from induction.rules.phase_change import find_phase_change
from induction.study.relative_rule import find_relative_change, relative_fall

ABRUPT = step(3e6, 0.4, 0.15) + 0.015 * NOISE


def test_an_abrupt_fall_is_a_change_with_the_onset_of_the_other_rule():
    change = find_relative_change(TOKENS, ABRUPT, RULE)
    assert change is not None
    assert change == find_phase_change(TOKENS, ABRUPT, RULE)


@pytest.mark.parametrize("factor", [0.05, 0.3, 7.0])
def test_it_does_not_hang_on_the_size_of_the_score(factor):
    one, other = (relative_fall(TOKENS, score, RULE) for score in (ABRUPT, factor * ABRUPT + 2))
    assert one is not None
    assert other is not None
    assert (other.share, other.signal) == pytest.approx((one.share, one.signal))
    assert find_relative_change(TOKENS, factor * ABRUPT, RULE) is not None


def test_a_steady_fall_is_none_however_far_it_goes():
    steady = -0.5 * (X - X[1]) + 0.01 * NOISE
    fall = relative_fall(TOKENS, steady, RULE)
    assert fall is not None
    assert fall.signal > RULE.min_signal
    assert find_relative_change(TOKENS, steady, RULE) is None


def test_noise_is_seldom_a_change():
    random = np.random.default_rng(1)
    flat = random.standard_normal((200, len(TOKENS)))
    found = [find_relative_change(TOKENS, score, RULE) is not None for score in flat]
    assert np.mean(found) <= 0.02


@pytest.mark.parametrize("score", [np.zeros(len(TOKENS)), X / 10])
def test_a_score_that_falls_nowhere_has_none(score):
    assert relative_fall(TOKENS, score, RULE) is None
    assert find_relative_change(TOKENS, score, RULE) is None


def test_too_few_snapshots_or_tokens_have_none():
    short = 2 * RULE.min_tokens > TOKENS
    assert find_relative_change(TOKENS[short], ABRUPT[short], RULE) is None
    assert relative_fall(TOKENS[:2], ABRUPT[:2], RULE) is None
