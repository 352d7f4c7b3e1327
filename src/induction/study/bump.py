"""The rule that finds non-convex bumps in a loss curve.

The loss is smoothed by the local straight-line fit of the onset rule over ln(tokens) and read as a
function of tokens. Over the tokens trained, as the paper draws it, a loss that falls ever more
slowly is convex. (Over ln(tokens) even an exponential decay is S-shaped, so every stage of
training would be a bump.) Below the curve lies its convex hull; a stretch in which the curve
stands above it by `min_height` or more is a bump. It starts and ends where the hull touches the
curve again, and peaks where it stands highest, which is always where the curve is concave.

A stretch that starts with the first snapshot looked at, `min_tokens`, is none: nothing convex
comes before it, and early training is a plateau near ln(vocabulary) and a fall from it.

The paper calls the phase change the loss curve's only non-convex place (Argument 1).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from induction.config import PhaseChange as Rule
from induction.rules.phase_change import make_smoother


@dataclass(frozen=True)
class Bump:
    """A stretch of training in which the loss stands above its convex hull.

    start_tokens, end_tokens: where hull and curve part and meet. peak_tokens: where the curve is
    highest above the hull, by height nats. complete is false when the bump lasts to the last
    snapshot, so that its end is the end of training.
    """

    start_tokens: float
    peak_tokens: float
    end_tokens: float
    height: float
    complete: bool


def find_bumps(tokens: np.ndarray, loss: np.ndarray, rule: Rule) -> tuple[Bump, ...]:
    """All bumps of one loss curve, highest first; empty when it is convex throughout.

    tokens, loss: [snapshots], tokens ascending, loss in nats. Fewer than four snapshots from
    rule.min_tokens on give none.
    """
    seen = tokens >= rule.min_tokens
    if seen.sum() < 4:
        return ()
    # At the snapshots and not between them, where the fits to sparse early ones make scallops.
    at = tokens[seen]
    level = make_smoother(at, rule.bandwidth, at).level @ loss[seen]
    corners = _lower_hull(at, level)
    above = level - np.interp(at, at[corners], level[corners])
    bumps = []
    for start, end in pairwise(corners):
        peak = start + int(above[start : end + 1].argmax())
        if start > 0 and above[peak] >= rule.min_bump:
            first, highest, last = (float(at[k]) for k in (start, peak, end))
            bumps.append(Bump(first, highest, last, float(above[peak]), end < len(at) - 1))
    return tuple(sorted(bumps, key=lambda bump: -bump.height))


def _lower_hull(x: np.ndarray, y: np.ndarray) -> list[int]:
    """Places of the corners of the lower convex hull of a curve, x ascending (monotone chain)."""
    corners: list[int] = []
    for k in range(len(x)):
        while len(corners) > 1:
            i, j = corners[-2], corners[-1]
            if (y[j] - y[i]) * (x[k] - x[i]) < (y[k] - y[i]) * (x[j] - x[i]):
                break
            corners.pop()
        corners.append(k)
    return corners
