"""The ICL score and its phase change for other choices of the two windows of indices."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from induction.config import PhaseChange as Rule
from induction.errors import StudyError
from induction.study.phase_change import find_phase_change

Window = tuple[int, int]


def icl_windows(
    tokens: np.ndarray,
    per_index: np.ndarray,
    early: Sequence[Window],
    late: Sequence[Window],
    rule: Rule,
) -> pl.DataFrame:
    """The ICL score of one model under every pair of an early and a late window.

    tokens: [snapshots]. per_index: [snapshots, n_ctx], mean loss in nats. Windows are first and
    last index, inclusive, from 0; a single index as in the paper is [i, i].

    Columns: early_from, early_to, late_from, late_to, icl_score (of the last snapshot, nats),
    onset_tokens (by the rule of the study, null without a phase change).
    Raises StudyError for a window beyond the context, and for a late one not after its early one.
    """
    rows = []
    for first in early:
        for second in late:
            if not first[0] <= first[1] < second[0] <= second[1] < per_index.shape[1]:
                raise StudyError(
                    f"windows {list(first)} and {list(second)}: must be ascending, the late one "
                    f"after the early one, and below model.n_ctx: {per_index.shape[1]}"
                )
            score = _mean(per_index, second) - _mean(per_index, first)
            change = find_phase_change(tokens, score, rule)
            rows.append((*first, *second, score[-1], change.onset_tokens if change else None))
    names = ("early_from", "early_to", "late_from", "late_to")
    schema = {**dict.fromkeys(names, pl.Int64), "icl_score": pl.Float64, "onset_tokens": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _mean(per_index: np.ndarray, window: Window) -> np.ndarray:
    return per_index[:, window[0] : window[1] + 1].mean(axis=1, dtype=np.float64)
