"""Loss over index in context × tokens trained, and its derivatives along both.

Both directions are smoothed by the local straight-line fit of the onset rule: over ln(tokens), and
over ln(index), where the many late indices inside one width are averaged, so that the derivative
by ln(index) is not the noise of neighbouring indices. The paper draws the derivative by ln(index)
("2D loss"): before the change the loss stops improving near index 50, after it, it goes on.
"""

from dataclasses import dataclass

import numpy as np

from induction.rules.phase_change import make_smoother


@dataclass(frozen=True)
class LossMap:
    """Maps over training and context, on axes that are even in their logarithm.

    tokens: [places], tokens trained. index: [places], counted from 1: at index i a token is
    predicted from i tokens. Both from the first to the last that was looked at.
    loss: [tokens, index], nats. by_index, by_tokens: its derivatives by ln(index) and by
    ln(tokens), in nats per e-fold; negative where the loss improves.
    """

    tokens: np.ndarray
    index: np.ndarray
    loss: np.ndarray
    by_index: np.ndarray
    by_tokens: np.ndarray


def map_loss(
    tokens: np.ndarray,
    per_index: np.ndarray,
    min_tokens: int,
    bandwidth: float,
    index_bandwidth: float,
    points: int,
) -> LossMap | None:
    """The smoothed maps of one model on `points` × `points` places.

    tokens: [snapshots], ascending. per_index: [snapshots, n_ctx], mean loss in nats. Snapshots
    before min_tokens are left out: the first has no logarithm, and the fall from ln(vocabulary)
    would outshine all others. bandwidth, index_bandwidth: in e-folds of tokens and of the index.
    Returns None with fewer than four snapshots to look at.
    """
    seen = tokens >= min_tokens
    if seen.sum() < 4:
        return None
    tokens, table = tokens[seen], per_index[seen].astype(np.float64)
    index = np.arange(1, per_index.shape[1] + 1)
    token_places = np.geomspace(tokens[0], tokens[-1], points)
    index_places = np.geomspace(1, len(index), points)
    over = make_smoother(tokens, bandwidth, token_places)
    along = make_smoother(index, index_bandwidth, index_places)
    return LossMap(
        tokens=token_places,
        index=index_places,
        loss=over.level @ table @ along.level.T,
        by_index=over.level @ table @ along.slope.T,
        by_tokens=over.slope @ table @ along.level.T,
    )
