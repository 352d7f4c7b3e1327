"""95 % intervals of means over evaluation windows or probe sequences.

They say how far a score would move with other windows of the same text, not with another seed.
"""

import numpy as np

from induction.rules.curves import Curves

Interval = tuple[float, float]

_Z = 1.96  # standard errors to either side


def mean_interval(samples: np.ndarray) -> Interval | None:
    """Interval of the mean of independent samples [samples]; None with fewer than two."""
    if len(samples) < 2:
        return None
    low, high = mean_bounds(samples[None])
    return float(low[0]), float(high[0])


def mean_bounds(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper ends for each row of [rows, samples]: [rows] each."""
    mean = samples.mean(axis=1, dtype=np.float64)
    error = samples.std(axis=1, ddof=1, dtype=np.float64) / np.sqrt(samples.shape[1])
    return mean - _Z * error, mean + _Z * error


def last_intervals(curves: Curves) -> dict[str, Interval | None]:
    """Intervals of the scores of the last snapshot, by their names in metrics.json.

    loss: from the kept tokens of each window alone, so wider than the mean over all tokens needs,
    and centred on that mean. max_prefix_matching: of the head that is best over all sequences.
    """
    sequences = curves.prefix_sequences[-1]
    best = sequences[sequences.mean(axis=1).argmax()]
    kept = curves.per_token[-1].reshape(curves.late.shape[1], -1).mean(axis=1)
    return {
        "icl_score": mean_interval(curves.late[-1] - curves.early[-1]),
        "loss": mean_interval(kept - kept.mean() + curves.loss[-1]),
        "max_prefix_matching": mean_interval(best),
    }
