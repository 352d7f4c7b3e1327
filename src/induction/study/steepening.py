"""The rule that finds where the fall of the loss becomes steeper again over ln(tokens).

The loss is smoothed over ln(tokens) as for the onset rule. As long as the fall slows down, the
curve is convex over ln(tokens); where it speeds up again, concave. The steepening is the greatest
rise of the fall's speed after it has slowed down, and counts when both are `min_rise` or more. It
must slow down first, from the first snapshot looked at, `min_tokens`, on: over ln(tokens) the first
fall from ln(vocabulary) steepens in every model.

This is weaker than a bump (study/bump.py), which is concave over the tokens themselves.
"""

from dataclasses import dataclass

import numpy as np

from induction.config import PhaseChange as Rule
from induction.rules.phase_change import make_smoother


@dataclass(frozen=True)
class Steepening:
    """Where the fall is slowest before it speeds up, and fastest after, in tokens.

    rise: difference of the two speeds in nats per e-fold of tokens.
    """

    start_tokens: float
    end_tokens: float
    rise: float


def find_steepening(tokens: np.ndarray, loss: np.ndarray, rule: Rule) -> Steepening | None:
    """The greatest steepening of one loss curve, or None when there is none of
    `rule.min_steepening`.

    tokens, loss: [snapshots], tokens ascending, loss in nats.
    """
    seen = tokens >= rule.min_tokens
    if seen.sum() < 4:
        return None
    smoother = make_smoother(tokens[seen], rule.bandwidth)
    speed = -(smoother.slope @ loss[seen])
    slowed = np.maximum.accumulate(speed) - speed
    rise = np.maximum.accumulate(speed[::-1])[::-1] - speed
    rise[slowed < rule.min_steepening] = 0.0
    start = int(rise.argmax())
    if rise[start] < rule.min_steepening:
        return None
    end = start + int(speed[start:].argmax())
    return Steepening(
        float(np.exp(smoother.x[start])), float(np.exp(smoother.x[end])), float(rise[start])
    )
