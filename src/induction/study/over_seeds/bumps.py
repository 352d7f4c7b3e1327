"""Is there a bump in the mean loss over seeds, and how small a one would have been seen?

Over seeds the noise of single curves drops out. Where the rule of bump.py finds nothing, a bump of
a known height is added to every curve at the kind's onset, as wide as the smoother; the smallest
that the rule finds in 95 % of resamples of the seeds is what would have been seen.
"""

from dataclasses import dataclass

import numpy as np

from induction.config import PhaseChange as Rule
from induction.study.bump import find_bumps

_RESAMPLES = 200
_FOUND = 0.95
_HEIGHTS = np.geomspace(0.005, 1.0, 24)  # nats, a quarter apart


@dataclass(frozen=True)
class MeanBump:
    """The highest bump of the mean loss of a kind, or the smallest that would have been seen.

    height: in nats above the convex hull, at peak_tokens; both None without a bump. smallest: in
    nats, of the bump that is added; None with a bump, and where not even one nat would be seen.
    """

    kind: str
    seeds: int
    height: float | None
    peak_tokens: float | None
    smallest: float | None


def mean_bump(
    kind: str, tokens: np.ndarray, losses: np.ndarray, onset: float, rule: Rule, seed: int
) -> MeanBump:
    """Look at one kind.

    tokens: [snapshots]. losses: [seeds, snapshots], in nats. onset: in tokens, where a bump would
    be.
    """
    found = find_bumps(tokens, losses.mean(axis=0), rule)
    if found:
        return MeanBump(kind, len(losses), found[0].height, found[0].peak_tokens, None)
    return MeanBump(kind, len(losses), None, None, _smallest(tokens, losses, onset, rule, seed))


def _smallest(
    tokens: np.ndarray, losses: np.ndarray, onset: float, rule: Rule, seed: int
) -> float | None:
    distance = (np.log(np.maximum(tokens, 1.0)) - np.log(onset)) / rule.bandwidth
    shape = np.exp(-0.5 * distance**2)
    random = np.random.default_rng(seed)
    drawn = random.integers(len(losses), size=(_RESAMPLES, len(losses)))
    means = losses[drawn].mean(axis=1)

    def share(height: float) -> float:
        return float(
            np.mean([bool(find_bumps(tokens, mean + height * shape, rule)) for mean in means])
        )

    # A higher bump is found more surely, so the least height that is found is bisected for.
    low, high = 0, len(_HEIGHTS)
    while low < high:
        middle = (low + high) // 2
        if share(float(_HEIGHTS[middle])) >= _FOUND:
            high = middle
        else:
            low = middle + 1
    return float(_HEIGHTS[low]) if low < len(_HEIGHTS) else None
