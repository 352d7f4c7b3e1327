"""The local learning coefficient, sampled on losses where it is known, and around a model."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from made_summary import CONFIG
from torch import Tensor

from induction.errors import StudyError
from induction.llc.sgld import Chain, run_chain
from induction.llc.snapshots import coefficients
from induction.model.transformer import Transformer, TransformerSpec, initialise

COPIES = 400  # of each small loss, side by side: their coefficients add up
N_BETA, GAMMA = 200.0, 1.0


def sampled(loss: Callable[..., Tensor], *sizes: int, seed: int = 0, **changes: Any) -> Chain:
    """A chain around zero, of a loss of vectors of these sizes."""
    settings = {"n_beta": N_BETA, "gamma": GAMMA, "epsilon": 5e-4, "burn_in": 4000, "draws": 8000}
    weights = [torch.zeros(size, dtype=torch.float64, requires_grad=True) for size in sizes]
    nothing = itertools.repeat(torch.empty(0))
    chosen = CONFIG.llc.model_copy(update={**settings, **changes})
    chain = run_chain(weights, lambda _: loss(*weights), nothing, chosen, seed)
    assert not any(weight.any() for weight in weights)  # put back
    return chain


def regular(w: Tensor) -> Tensor:
    return (w**2).sum() / 2


def test_a_regular_loss_counts_half_its_dimensions() -> None:
    chain = sampled(regular, COPIES)
    held = N_BETA / (N_BETA + GAMMA)  # what the pull to the start leaves of each direction
    assert chain.coefficient(N_BETA) == pytest.approx(held * COPIES / 2, rel=0.05)
    assert chain.loss == 0


def test_flat_directions_do_not_count() -> None:
    chain = sampled(lambda w, flat: regular(w) + 0 * flat.sum(), COPIES, 3 * COPIES)
    assert chain.coefficient(N_BETA) == pytest.approx(COPIES / 2, rel=0.05)


def expected(n_beta: float) -> float:
    """nβ E[x² y²] under exp(−nβ x² y² − γ/2 (x² + y²)): x integrated by hand, y on a grid."""
    y = np.linspace(0, 8, 400_001)
    inner = GAMMA / 2 + n_beta * y**2
    weight = inner**-0.5 * np.exp(-GAMMA * y**2 / 2)
    return float((weight * n_beta * y**2 / (2 * inner)).sum() / weight.sum())


def test_a_singular_loss_counts_less_than_a_regular_one_of_as_many_weights() -> None:
    """Of x² y² it is 1/2 in the limit, which is reached from below as 1/ln(nβ), and not 1."""
    chain = sampled(lambda x, y: (x**2 * y**2).sum(), COPIES, COPIES)
    each = chain.coefficient(N_BETA) / COPIES
    assert each == pytest.approx(expected(N_BETA), rel=0.07)
    assert 0.2 < each < expected(1e8) < 0.5


def test_a_slope_gives_a_negative_coefficient() -> None:
    assert sampled(lambda w: -0.1 * w.sum(), COPIES).coefficient(N_BETA) < 0


def test_seeds_decide_the_chain() -> None:
    short: Any = {"burn_in": 5, "draws": 5}
    one, again, other = (sampled(regular, 9, seed=seed, **short) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.rises, again.rises)
    assert (one.rises != other.rises).all()


def test_a_chain_that_leaves_all_bounds_names_the_parameter() -> None:
    with pytest.raises(StudyError, match=r"^llc\.epsilon: the loss became (inf|nan) at step"):
        sampled(lambda w: (w**4).sum(), 9, epsilon=10.0)


SPEC = TransformerSpec(1, 8, 2, 8, 6, 11, True, False, 100.0)
SETTINGS = CONFIG.llc.model_copy(
    update={"chains": 3, "burn_in": 2, "draws": 4, "batch": 2, "epsilon": 1e-3, "gamma": 10.0}
)


def of_a_model(step: int, model: Transformer | None = None) -> dict[str, np.ndarray]:
    if model is None:
        model = Transformer(SPEC)
        initialise(model, 0, 0.3)
    stream = np.random.default_rng(0).integers(SPEC.d_vocab, size=100).astype(np.uint16)
    return coefficients(model, stream, SETTINGS, step, lambda _: None)


def test_chains_of_a_model_differ_and_come_again() -> None:
    found, again, other_step = of_a_model(7), of_a_model(7), of_a_model(8)
    assert {name: each.shape for name, each in found.items()} == {
        **{"llc": (3,), "loss": (3,), "rises": (3, 4)}
    }
    for name, values in found.items():
        np.testing.assert_array_equal(values, again[name])
    assert len({*found["llc"], *other_step["llc"]}) == 6
    np.testing.assert_allclose(found["llc"], SETTINGS.n_beta * found["rises"].mean(axis=1))
    np.testing.assert_allclose(found["loss"], np.log(SPEC.d_vocab), rtol=1e-5)  # W_U is zero


def test_the_model_is_as_it_was() -> None:
    model = Transformer(SPEC)
    initialise(model, 0, 0.3)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    of_a_model(7, model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
