"""The ICL score and its phase change for other choices of the two windows of indices."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from induction.config import PhaseChange as Rule
from induction.errors import StudyError
from induction.rules.phase_change import find_phase_change
from induction.study.relative_rule import find_relative_change

Window = tuple[int, int]


def icl_windows(
    tokens: np.ndarray,
    per_index: np.ndarray,
    early: Sequence[Window],
    late: Sequence[Window],
    rule: Rule,
) -> pl.DataFrame:
    """The ICL score of one model under every pair of an early and a late window.

    tokens: [snapshots]. The others as in `scores_by_window`, whose errors it raises.

    Columns: early_from, early_to, late_from, late_to, icl_score (of the last snapshot, nats),
    onset_tokens and relative_onset_tokens (by the study's two rules, null without a phase change).
    """
    rows = []
    for (first, second), score in scores_by_window(per_index, early, late).items():
        changes = [find(tokens, score, rule) for find in (find_phase_change, find_relative_change)]
        onsets = (change.onset_tokens if change else None for change in changes)
        rows.append((*first, *second, score[-1], *onsets))
    names = ("early_from", "early_to", "late_from", "late_to")
    onset_names = ("icl_score", "onset_tokens", "relative_onset_tokens")
    schema = {**dict.fromkeys(names, pl.Int64), **dict.fromkeys(onset_names, pl.Float64)}
    return pl.DataFrame(rows, schema=schema, orient="row")


def scores_by_window(
    per_index: np.ndarray, early: Sequence[Window], late: Sequence[Window]
) -> dict[tuple[Window, Window], np.ndarray]:
    """The ICL score, [snapshots] in nats, for every pair of an early and a late window.

    per_index: [snapshots, n_ctx], mean loss in nats. Windows are first and last index, inclusive,
    from 0; a single index as in the paper is [i, i].
    Raises StudyError for a window beyond the context, and for a late one not after its early one.
    """
    scores = {}
    for first in early:
        for second in late:
            if not first[0] <= first[1] < second[0] <= second[1] < per_index.shape[1]:
                raise StudyError(
                    f"windows {list(first)} and {list(second)}: must be ascending, the late one "
                    f"after the early one, and below model.n_ctx: {per_index.shape[1]}"
                )
            scores[first, second] = _mean(per_index, second) - _mean(per_index, first)
    return scores


def _mean(per_index: np.ndarray, window: Window) -> np.ndarray:
    return per_index[:, window[0] : window[1] + 1].mean(axis=1, dtype=np.float64)
