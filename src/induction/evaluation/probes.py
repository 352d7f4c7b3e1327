"""Repeated random tokens: text of which all but the first segment can be copied."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from induction.config import Evaluation as Settings
from induction.errors import StudyError


@dataclass(frozen=True)
class Probes:
    """Sequences of random tokens, each a segment of its own length repeated after a start token.

    tokens: [sequences, 1 + repeats × longest period]; shorter sequences are padded at the end.
    periods: [sequences], length of the repeated segment. It varies, since a fixed one could be
    solved by position alone.
    repeats: how often each segment stands in its sequence.
    """

    tokens: Tensor
    periods: np.ndarray
    repeats: int


def make_probes(
    token_counts: np.ndarray, start_token: int, settings: Settings, random: np.random.Generator
) -> Probes:
    """Random sequences, without the rarest and the commonest tokens (paper's head evaluators).

    Raises StudyError when too few tokens are left for the longest segment.
    """
    ranked = np.argsort(token_counts, kind="stable")
    ranked = ranked[ranked != start_token]
    rare, common = settings.probe_vocab_quantiles
    drawable = ranked[int(rare * len(ranked)) : int(common * len(ranked))]
    shortest, longest = settings.probe_period
    if len(drawable) < longest:
        raise StudyError(
            f"evaluation.probe_vocab_quantiles: leaves {len(drawable)} tokens to draw from, fewer "
            f"than the {longest} of evaluation.probe_period: widen them"
        )
    periods = random.integers(shortest, longest, size=settings.probe_sequences, endpoint=True)
    repeats = settings.probe_repeats
    tokens = np.full((len(periods), 1 + repeats * longest), start_token, dtype=np.int64)
    for row, period in zip(tokens, periods, strict=True):
        # Without replacement: each token of a segment has one match in each other repeat.
        segment = random.choice(drawable, period, replace=False)
        row[1 : 1 + repeats * period] = np.tile(segment, repeats)
    return Probes(torch.from_numpy(tokens), periods, repeats)
