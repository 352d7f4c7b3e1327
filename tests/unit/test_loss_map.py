"""Maps of the loss and its derivatives, on functions whose derivatives are known."""

import numpy as np
import pytest

from induction.study.loss_map import LossMap, map_loss

TOKENS = np.concatenate([[0], 4e5 * np.expm1(np.linspace(0.05, np.log1p(25), 59))])
INDEX = np.arange(1, 257)
LN_TOKENS = np.log(np.maximum(TOKENS, 1.0))[:, None]
LN_INDEX = np.log(INDEX)[None, :]


def maps(per_index: np.ndarray, index_bandwidth: float = 0.3) -> LossMap:
    found = map_loss(TOKENS, per_index, 100_000, 0.15, index_bandwidth, points=50)
    assert found is not None
    return found


def test_planes_in_both_logarithms_come_out_exactly():
    found = maps(7.0 - 0.3 * LN_INDEX - 0.2 * LN_TOKENS)
    np.testing.assert_allclose(found.by_index, -0.3, atol=1e-8)
    np.testing.assert_allclose(found.by_tokens, -0.2, atol=1e-8)
    expected = 7.0 - 0.3 * np.log(found.index)[None, :] - 0.2 * np.log(found.tokens)[:, None]
    np.testing.assert_allclose(found.loss, expected, atol=1e-8)


def test_axes_run_evenly_in_the_logarithm_over_what_was_looked_at():
    found = maps(np.zeros((len(TOKENS), 256)))
    assert found.loss.shape == found.by_index.shape == found.by_tokens.shape == (50, 50)
    assert found.index[[0, -1]] == pytest.approx([1, 256])
    assert found.tokens[0] == pytest.approx(TOKENS[TOKENS >= 100_000][0])
    assert found.tokens[-1] == pytest.approx(TOKENS[-1])
    np.testing.assert_allclose(np.diff(np.log(found.tokens), 2), 0, atol=1e-9)


def test_the_place_of_a_change_shows_in_both_derivatives():
    """Late indices improve at 3M tokens, by 0.8 nats, from index 50 on."""
    change = 1.0 / (1.0 + np.exp(-(LN_TOKENS - np.log(3e6)) / 0.1))
    found = maps(5.0 - 0.5 * change * np.maximum(LN_INDEX - np.log(50), 0), 0.15)
    late, before, after = found.index > 100, found.tokens < 1.5e6, found.tokens > 6e6
    np.testing.assert_allclose(found.by_index[after][:, late], -0.5, atol=0.02)
    np.testing.assert_allclose(found.by_index[before], 0.0, atol=0.02)
    np.testing.assert_allclose(found.by_index[:, found.index < 20], 0.0, atol=0.02)
    steepest = found.tokens[found.by_tokens[:, late].argmin(axis=0)]
    np.testing.assert_allclose(steepest, 3e6, rtol=0.1)
    # A mixed derivative has two orders: the maps agree on it.
    step = (np.log(found.tokens[1] / found.tokens[0]), np.log(found.index[1] / found.index[0]))
    mixed = np.gradient(found.by_index, step[0], axis=0)[2:-2, 2:-2]
    other = np.gradient(found.by_tokens, step[1], axis=1)[2:-2, 2:-2]
    np.testing.assert_allclose(mixed, other, atol=0.12)


def test_the_noise_of_single_late_indices_is_smoothed_away():
    noise = 0.1 * np.random.default_rng(0).standard_normal(256)
    found = maps(5.0 - 0.4 * LN_INDEX + noise + 0 * LN_TOKENS)
    late = found.index > 50
    assert np.abs(found.by_index[:, late] + 0.4).max() < 0.15
    np.testing.assert_allclose(found.by_tokens, 0.0, atol=1e-8)


def test_too_few_snapshots_give_none():
    assert map_loss(TOKENS[:5], np.zeros((5, 16)), 100_000, 0.15, 0.3, 10) is None
