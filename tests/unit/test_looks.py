"""Shares of attention on right places, with intervals, on made prompts whose answer is known."""

import numpy as np
import polars as pl
import pytest

from induction.study.looks import Looks, describe_looks


def rows(
    heads: str, right: object, wrong: object, draw: int = 0, prompts: int = 50
) -> pl.DataFrame:
    ones = np.ones(prompts)
    columns = {"right": ones * right, "wrong": ones * wrong}  # pyright: ignore[reportOperatorIssue]
    return pl.DataFrame(
        {"heads": [heads] * prompts, "draw": [draw] * prompts, **columns}
    ).with_columns(example=pl.int_range(prompts, dtype=pl.Int64))


NONE = rows("none", 0.0, 0.0, prompts=0)


def described(*parts: pl.DataFrame, shuffled: pl.DataFrame = NONE) -> Looks:
    found = describe_looks(pl.concat(parts), shuffled)
    assert found
    return found


def test_the_share_is_that_of_one_right_place_beside_one_wrong_one():
    random = np.random.default_rng(0)
    size = random.uniform(0.5, 2.0, 50)
    own = rows("induction", 0.3 * size, 0.1 * size)
    found = described(own, rows("1.0", 0.1, 0.1), rows("1.1", 0.2, 0.0))
    assert (found.share, found.low, found.high) == pytest.approx((0.75, 0.75, 0.75))
    assert (found.over_random, found.over_shuffled) == (None, None)
    assert (found.head, found.head_share) == ((1, 1), pytest.approx(1.0))
    assert found.looks_right()


def test_the_interval_is_that_of_a_bootstrap_over_prompts():
    random = np.random.default_rng(1)
    pairs = random.uniform(0, 1, (200, 2)) * [0.6, 0.4]
    found = described(rows("induction", *pairs.T, prompts=200), rows("1.0", *pairs.T, prompts=200))
    drawn = pairs[random.integers(200, size=(4000, 200))].sum(axis=1)
    low, high = np.quantile(drawn[:, 0] / drawn.sum(axis=1), [0.025, 0.975])
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.005)


def test_others_and_shuffled_labels_are_compared_prompt_by_prompt():
    random = np.random.default_rng(2)
    right, wrong = random.uniform(0.2, 0.4, 50), random.uniform(0.1, 0.2, 50)
    own = (rows("induction", right, wrong), rows("1.0", right, wrong))
    same = described(
        *own,
        *(rows("random", right, wrong, draw) for draw in range(3)),
        shuffled=rows("induction", right, wrong),
    )
    assert same.over_random == pytest.approx((0.0, 0.0), abs=1e-12)
    assert same.over_shuffled == pytest.approx((0.0, 0.0), abs=1e-12)
    assert same.looks_right() is False
    more = described(*own, rows("random", wrong, wrong), shuffled=rows("induction", wrong, right))
    assert more.over_random
    assert more.over_shuffled
    assert 0 < more.over_random[0] < more.over_random[1] < more.over_shuffled[0]
    assert more.looks_right()


def test_without_induction_heads_or_without_their_attention_there_is_nothing_to_tell():
    assert describe_looks(NONE, NONE) is None
    assert (
        describe_looks(pl.concat([rows("random", 0.1, 0.1), rows("induction", 0.0, 0.0)]), NONE)
        is None
    )


def test_uncertain_shares_are_open():
    random = np.random.default_rng(3)
    pairs = random.uniform(0, 1, (20, 2))
    found = described(rows("induction", *pairs.T, prompts=20), rows("1.0", *pairs.T, prompts=20))
    assert found.low < 0.5 < found.high
    assert found.looks_right() is None
