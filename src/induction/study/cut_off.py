"""Whether training ended inside a change, so that what follows was never seen."""

import numpy as np

from induction.config import PhaseChange as Rule
from induction.rules.phase_change import find_phase_change, make_smoother


def is_traced(tokens: np.ndarray, rule: Rule) -> bool:
    """Whether a model has snapshots enough for a phase change to be seen, as a checkpoint alone
    has not: what `find_phase_change` asks for."""
    return int((tokens >= rule.min_tokens).sum()) >= 4


def is_cut_off(tokens: np.ndarray, score: np.ndarray, rule: Rule) -> bool:
    """Whether the ICL score of a model was still falling abruptly when its training ended.

    tokens, score: [snapshots], as in `find_phase_change`. True when the band of its phase change
    runs into the last snapshot; and, without a phase change, when the smoothed score falls there
    by `band_fraction` of `min_slope` or more: a change may have begun that is too short to count.
    """
    if not is_traced(tokens, rule):
        return False
    seen = tokens >= rule.min_tokens
    change = find_phase_change(tokens, score, rule)
    if change:
        return not change.complete
    fall = -(make_smoother(tokens[seen], rule.bandwidth).slope @ score[seen])
    return bool(fall[-1] >= rule.band_fraction * rule.min_slope)
