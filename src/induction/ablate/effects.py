"""An ablation's effect in three numbers, all linear in what it does to the losses."""

from dataclasses import dataclass

import numpy as np

from induction.evaluation.evaluation_set import EvaluationSet
from induction.measure.losses import window


@dataclass(frozen=True)
class Effect:
    """What an ablation changes, ablated − intact.

    icl_attribution: ICL score, in nats; positive where the heads contribute to in-context learning
    (paper, "Ablations").
    loss_change: mean loss over all examples and indices, in nats.
    before_after: dot product of the change of the per-token vector with the before-and-after
    vector; negative where the ablation undoes what the phase change brought, as with induction
    heads. None for a model without a phase change.
    """

    icl_attribution: float
    loss_change: float
    before_after: float | None


def effect_of(
    change: np.ndarray, evaluation: EvaluationSet, before_after: np.ndarray | None
) -> Effect:
    """Effect of a change of losses.

    change: [examples, n_ctx], ablated − intact loss of every token, in nats.
    before_after: [examples × tokens_per_example], from `before_after_vector`.
    """
    change = change.astype(np.float64)
    per_token = np.take_along_axis(change, evaluation.kept, axis=1).ravel()
    return Effect(
        icl_attribution=float(icl_change(change, evaluation).mean()),
        loss_change=float(change.mean()),
        before_after=None if before_after is None else float(per_token @ before_after),
    )


def icl_change(change: np.ndarray, evaluation: EvaluationSet) -> np.ndarray:
    """Change of the ICL score of each example, [examples], in nats."""
    return window(change, evaluation.late) - window(change, evaluation.early)


def icl_interval(
    change: np.ndarray, evaluation: EvaluationSet, resamples: int, seed: int
) -> tuple[float, float]:
    """95 % interval of the ICL attribution from a bootstrap over evaluation examples, in nats."""
    per_example = icl_change(change.astype(np.float64), evaluation)
    random = np.random.default_rng(seed)
    drawn = random.integers(len(per_example), size=(resamples, len(per_example)))
    low, high = np.quantile(per_example[drawn].mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def before_after_vector(
    tokens: np.ndarray, per_token: np.ndarray, band: tuple[float, float]
) -> np.ndarray | None:
    """What the phase change does to the per-token losses, as a vector of length 1 (paper,
    "Ablations"): their difference between the snapshots nearest to the band's two ends, end −
    start. None when these are the same.

    tokens: [snapshots], tokens trained. per_token: [snapshots, examples × tokens_per_example].
    band: first and last number of tokens of the phase change.
    """
    start, end = (int(np.abs(tokens - edge).argmin()) for edge in band)
    difference = per_token[end].astype(np.float64) - per_token[start]
    length = np.linalg.norm(difference)
    return difference / length if length > 0 else None
