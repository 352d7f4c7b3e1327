"""The rule for bumps of the loss curve, on made curves."""

import numpy as np
import pytest
from made_curves import NOISE, POWER, RULE, TOKENS, X, step

from induction.study.bump import Bump, find_bumps

BUMPS = RULE.model_copy(update={"min_bump": 0.02})


def bumps(loss: np.ndarray) -> tuple[Bump, ...]:
    return find_bumps(TOKENS, loss, BUMPS)


@pytest.mark.parametrize(
    "loss",
    [
        POWER,
        10.0 - 0.3 * X,  # straight over ln(tokens)
        3.0 + 4.0 * np.exp(-TOKENS / 8e5),
        POWER + 0.03 * NOISE,
        POWER + step(3.5e6, 0.3, 0.5),  # a slow step only bends the curve
        POWER + step(4e4, 2.0, 0.1),  # the first fall, before min_tokens
        np.where(TOKENS < 1.2e5, 7.0, 5.0 - 0.3 * (X - np.log(1.2e5))),  # an early plateau
        np.full_like(TOKENS, 3.0),
    ],
    ids=["power", "straight", "exponential", "noise", "slow", "before", "plateau", "flat"],
)
def test_convex_curves_have_none(loss):
    assert bumps(loss) == ()


@pytest.mark.parametrize("at", [6e5, 1.5e6, 3.5e6])
def test_a_step_is_found_where_it_is(at):
    (bump,) = bumps(POWER + step(at, 0.4, 0.08) + 0.005 * NOISE)
    assert bump.start_tokens < bump.peak_tokens < at < bump.end_tokens
    assert np.log(at / bump.peak_tokens) < 0.5
    assert np.log(bump.end_tokens / at) < 0.5
    assert 0.02 < bump.height < 0.4
    assert bump.complete


def test_the_larger_of_two_comes_first():
    first, second = bumps(POWER + step(8e5, 0.4, 0.08) + step(4e6, 0.8, 0.08))
    assert first.height > second.height
    assert second.end_tokens < first.peak_tokens


def test_a_bump_that_training_ends_in_says_so():
    (bump,) = bumps(POWER + step(9.5e6, 0.6, 0.1))
    assert not bump.complete
    assert bump.end_tokens == TOKENS[-1]


def test_the_height_is_that_above_the_chord():
    """Straight lines over tokens, one corner of which stands above a chord; hardly smoothed."""
    tokens = np.linspace(1e6, 9e6, 1000)
    loss = np.interp(tokens, [1e6, 2e6, 5e6, 6e6, 9e6], [9.0, 5.0, 4.9, 3.0, 2.9])
    (bump,) = find_bumps(tokens, loss, BUMPS.model_copy(update={"bandwidth": 0.005}))
    assert bump.peak_tokens == pytest.approx(5e6, rel=0.02)
    assert bump.start_tokens == pytest.approx(2e6, rel=0.03)
    assert bump.end_tokens == pytest.approx(6e6, rel=0.03)
    assert bump.height == pytest.approx(4.9 - (5.0 - 2.0 * 3 / 4), abs=0.05)


def test_too_few_snapshots_give_none():
    assert find_bumps(TOKENS[-3:], POWER[-3:], BUMPS.model_copy(update={"min_tokens": 0})) == ()
