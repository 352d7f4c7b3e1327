"""Joint components of per-token losses, on rows made from known directions."""

import numpy as np
import polars as pl
import pytest

from induction.errors import StudyError
from induction.rules.curves import Curves
from induction.study.pca import fit_loss_space, smooth_part

TOKENS = np.array([0, 50_000, 200_000, 400_000, 800_000, 1_600_000])
ENTRIES = 40


def curves(per_token: np.ndarray, tokens: np.ndarray = TOKENS) -> Curves:
    n = len(tokens)
    return Curves(
        step=np.arange(n),
        tokens=tokens,
        loss=np.zeros(n),
        icl_score=np.zeros(n),
        early=np.zeros((n, 2)),
        late=np.zeros((n, 2)),
        per_index=np.zeros((n, 8)),
        per_token=per_token.astype(np.float32),
        prefix_sequences=np.zeros((n, 1, 1)),
        heads=pl.DataFrame(),
    )


def made(seed: int = 0) -> tuple[dict[str, Curves], np.ndarray]:
    """Two models that move in one plane, from an untrained state far outside of it."""
    random = np.random.default_rng(seed)
    plane = np.linalg.qr(random.standard_normal((ENTRIES, 2)))[0].T
    models = {}
    for name in ("a", "b"):
        rows = 3.0 + (random.standard_normal((6, 2)) * [5.0, 2.0]) @ plane
        rows[:2] = 7.0 + 10.0 * random.standard_normal((2, ENTRIES))
        models[name] = curves(rows)
    return models, plane


def test_two_components_hold_what_moves_in_a_plane():
    models, plane = made()
    space = fit_loss_space(models, 3, min_tokens=100_000)
    assert space.explained_variance[:2].sum() == pytest.approx(1.0, abs=1e-6)
    assert abs(np.linalg.det(space.components[:2] @ plane.T)) == pytest.approx(1.0, abs=1e-4)


def test_scores_are_centred_projections_of_every_snapshot_in_its_own_unit():
    models, _ = made()
    space = fit_loss_space(models, 2, min_tokens=100_000)
    assert space.scores.columns == ["model", "step", "tokens", "fitted", "pc1", "pc2"]
    assert space.scores["model"].to_list() == ["a"] * 6 + ["b"] * 6
    assert space.scores["fitted"].to_list() == ([False] * 2 + [True] * 4) * 2
    rows = np.concatenate([models[name].per_token for name in models]).astype(float)
    fitted = space.scores["fitted"].to_numpy()
    expected = (rows - rows[fitted].mean(axis=0)) @ space.components.T
    found = np.concatenate([space.path("a"), space.path("b")])
    np.testing.assert_allclose(found, expected, atol=1e-9)
    # No scaling: distances between fitted snapshots are those between their loss vectors.
    assert np.linalg.norm(found[2] - found[10]) == pytest.approx(
        np.linalg.norm(rows[2] - rows[10]), rel=1e-4
    )


def test_the_first_snapshots_take_part_only_from_min_tokens_on():
    models, _ = made()
    late, early = (fit_loss_space(models, 2, m).explained_variance.sum() for m in (100_000, 0))
    assert late > 0.999
    assert early < 0.9


def test_signs_are_fixed_by_the_largest_loading():
    models, _ = made()
    space = fit_loss_space(models, 3, min_tokens=0)
    largest = np.abs(space.components).argmax(axis=1)
    assert (space.components[np.arange(3), largest] > 0).all()
    mirrored = {name: curves(-model.per_token) for name, model in models.items()}
    np.testing.assert_allclose(
        fit_loss_space(mirrored, 3, min_tokens=0).components, space.components, atol=1e-6
    )


def test_the_order_of_models_moves_no_score():
    models, _ = made()
    forth = fit_loss_space(models, 2, 0)
    back = fit_loss_space(dict(reversed(models.items())), 2, 0)
    np.testing.assert_allclose(forth.path("b"), back.path("b"), atol=1e-6)


def test_there_are_no_more_components_than_snapshots():
    models, _ = made()
    assert len(fit_loss_space(models, 20, min_tokens=800_000).explained_variance) == 4


def test_what_cannot_be_put_together_is_refused():
    models, _ = made()
    with pytest.raises(StudyError, match="min_tokens"):
        fit_loss_space(models, 2, min_tokens=10_000_000)
    models["b"] = curves(models["b"].per_token[:, :-1])
    with pytest.raises(StudyError, match="differ in length"):
        fit_loss_space(models, 2, min_tokens=0)


def test_the_noise_of_snapshots_is_told_apart_from_their_path():
    """Straight paths of known variance and noise of known variance around them."""
    random = np.random.default_rng(1)
    tokens = np.geomspace(1e5, 1e7, 60)
    x = np.log(tokens) - np.log(tokens).mean()
    path = x[:, None] * random.standard_normal(2000)
    noisy = path + 0.8 * random.standard_normal(path.shape)
    models = {"m": curves(noisy, tokens)}
    space = fit_loss_space(models, 2, 0)
    smooth = smooth_part(models, space, 0, 0.15)
    expected = 0.64 / (0.64 + path.var(axis=0).mean())
    assert smooth.noise == pytest.approx(expected, abs=0.02)
    assert space.explained_variance[0] < 0.8
    assert smooth.explained_variance[0] > 0.93
    clean = {"m": curves(path, tokens)}
    assert smooth_part(clean, fit_loss_space(clean, 2, 0), 0, 0.15).noise < 1e-6
