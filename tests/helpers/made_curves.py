"""Curves over training with a known shape, on a schedule of snapshots like the study's."""

import numpy as np

from induction.config import PhaseChange as Rule

RULE = Rule(
    bandwidth=0.15,
    min_slope=0.3,
    band_fraction=0.5,
    min_drop=0.15,
    min_share=0.5,
    min_signal=3.4,
    min_tokens=100_000,
    min_bump=0.01,
    min_steepening=0.1,
    resamples=100,
)
TOKENS = np.concatenate([[0], 4e5 * np.expm1(np.linspace(0.05, np.log1p(25), 59))])
X = np.log(np.maximum(TOKENS, 1.0))
POWER = 3.0 + 2.0 * (np.maximum(TOKENS, 1.0) / 1e5) ** -0.4
NOISE = np.random.default_rng(0).standard_normal(len(TOKENS))


def step(at: float, drop: float, width: float) -> np.ndarray:
    """A fall by `drop` nats around `at` tokens; `width` in e-folds."""
    return -drop / (1.0 + np.exp(-(X - np.log(at)) / width))
