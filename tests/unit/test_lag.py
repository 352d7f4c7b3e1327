"""The lag between in-context learning and prefix-matching heads, on made curves."""

import numpy as np
import pytest
from built_models import induction_model, random_model
from made_curves import RULE, TOKENS, X
from test_measure import evaluate

from induction.measure import prefix_matching
from induction.study.lag import Lag, find_lag, rise_onset


def rise(at: float, height: float, width: float = 0.1) -> np.ndarray:
    return height / (1.0 + np.exp(-(X - np.log(at)) / width))


def scatter(curve: np.ndarray, units: int, spread: float, seed: int) -> np.ndarray:
    """[snapshots, units]: each unit has its own share of the curve and noise around it."""
    random = np.random.default_rng(seed)
    share = 1.0 + spread * random.standard_normal(units)
    return curve[:, None] * share + 0.05 * random.standard_normal((len(curve), units))


def lag_of(icl_at: float, prefix_at: float, sequences: int = 32) -> Lag | None:
    icl = scatter(-rise(icl_at, 0.8), 200, 0.5, seed=1)
    best = scatter(rise(prefix_at, 0.6), sequences, 0.3, seed=2)
    idle = scatter(0 * X, sequences, 0.0, seed=3)
    return find_lag(TOKENS, icl, np.stack([idle, best], axis=1), RULE, 0.25, 100, 0)


@pytest.mark.parametrize("factor", [0.7, 1.0, 1.4])
def test_the_lag_is_that_of_the_curves(factor):
    lag = lag_of(3e6, 3e6 * factor)
    assert lag is not None
    assert lag.lag == pytest.approx(np.log(factor), abs=0.06)
    assert lag.lag == pytest.approx(np.log(lag.prefix_onset_tokens / lag.icl_onset_tokens))
    assert lag.interval is not None
    assert lag.interval[0] <= lag.lag <= lag.interval[1]
    assert lag.interval[1] - lag.interval[0] < 0.3
    assert lag.sequences == 32


def test_an_inverted_score_has_the_same_onset_under_both_rules():
    curve = rise(3e6, 0.8)
    icl = np.tile(-curve[:, None], 3)
    lag = find_lag(TOKENS, icl, curve[:, None, None], RULE, 0.25, 5, 0)
    assert lag is not None
    assert lag.lag == 0.0
    assert lag.interval == (0.0, 0.0)
    assert lag.sequences == 1


@pytest.mark.parametrize(("icl", "prefix"), [(0.05, 0.6), (0.8, 0.1), (0.0, 0.0)])
def test_either_onset_missing_is_none(icl, prefix):
    icl_curves = np.tile(-rise(3e6, icl)[:, None], 5)
    assert find_lag(TOKENS, icl_curves, rise(3e6, prefix)[:, None, None], RULE, 0.25, 5, 0) is None


def test_an_unsure_change_has_no_interval():
    """The fall rests on one example in three: in many resamples it is too small."""
    icl = np.stack([-rise(3e6, 0.65), 0 * X, 0 * X], axis=1)
    lag = find_lag(TOKENS, icl, rise(3e6, 0.6)[:, None, None], RULE, 0.25, 100, 0)
    assert lag is not None
    assert lag.interval is None


def test_the_onset_of_a_rise_is_where_half_of_its_fastest_begins():
    """A logistic's slope is half its peak at 1.763 widths before its middle."""
    tokens = np.exp(np.linspace(np.log(2e5), np.log(2e7), 1000))
    score = 1.0 / (1.0 + np.exp(-(np.log(tokens) - np.log(2e6)) / 0.3))
    rule = RULE.model_copy(update={"bandwidth": 0.01})
    found = rise_onset(tokens, score, rule, 0.25)
    assert found is not None
    assert np.log(found / 2e6) == pytest.approx(-1.7627 * 0.3, abs=0.02)
    assert rise_onset(tokens, score, rule, 1.1) is None
    assert rise_onset(tokens[:3], score[:3], rule, 0.0) is None


@pytest.mark.parametrize("model", [induction_model(), random_model()], ids=["built", "random"])
def test_the_scores_of_single_sequences_have_the_score_as_their_mean(model):
    evaluation = evaluate()
    found = prefix_matching.measure(model, evaluation, batch_size=5)
    scores = found["prefix_sequences"]
    assert scores.shape == (model.spec.n_layers, model.spec.n_heads, 12)
    np.testing.assert_allclose(scores.mean(axis=-1), found["prefix_matching"], atol=1e-6)
    assert (scores >= 0).all()
    assert (scores <= 1 + 1e-6).all()
