"""The rule for a loss that falls faster again over ln(tokens), on made curves."""

import numpy as np
import pytest
from made_curves import NOISE, POWER, RULE, TOKENS, X, step

from induction.study.steepening import Steepening, find_steepening


def steepening(loss: np.ndarray) -> Steepening | None:
    return find_steepening(TOKENS, loss, RULE)


@pytest.mark.parametrize(
    "loss",
    [
        POWER,
        10.0 - 0.3 * X,
        POWER + 0.01 * NOISE,
        POWER + step(4e4, 2.0, 0.1),  # before min_tokens
        4.0 + step(1.5e5, 3.0, 0.4),  # the first fall, under way at min_tokens
        4.0 + 3.0 * np.exp(-TOKENS / 8e5),  # S-shaped over ln(tokens), from the start
        10.0 - 0.3 * X - 0.5 * np.maximum(X - np.log(2e6), 0),  # faster, but never slower before
        np.full_like(TOKENS, 3.0),
    ],
    ids=["power", "line", "noise", "before", "first", "exponential", "straight", "flat"],
)
def test_curves_that_only_flatten_have_none(loss):
    assert steepening(loss) is None


@pytest.mark.parametrize("width", [0.1, 0.2])
@pytest.mark.parametrize("at", [8e5, 3.5e6])
def test_a_step_steepens_the_fall_up_to_its_middle(at, width):
    found = steepening(POWER + step(at, 0.4, width) + 0.005 * NOISE)
    assert found is not None
    assert found.start_tokens < at
    assert np.log(found.end_tokens / at) == pytest.approx(0.0, abs=0.3)
    assert 0.1 < found.rise < 0.4 / (4 * width)


def test_the_rise_is_the_difference_of_the_speeds():
    bent = np.abs(X - np.log(5e5)) * 0.2 - 0.3 * X  # speeds 0.5, then 0.1
    found = steepening(bent - 0.7 * np.maximum(X - np.log(2e6), 0))  # then 0.8
    assert found is not None
    assert found.rise == pytest.approx(0.7, abs=0.01)
    assert 5e5 < found.start_tokens < 2e6 < found.end_tokens


def test_too_few_snapshots_give_none():
    assert (
        find_steepening(TOKENS[-3:], POWER[-3:], RULE.model_copy(update={"min_tokens": 0})) is None
    )
