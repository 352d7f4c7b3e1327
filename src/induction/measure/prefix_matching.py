"""Prefix-matching score: how much a head attends to what followed the current token before."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from induction.measure.evaluation import Evaluation, Probes
from induction.model.hooks import Record
from induction.model.interface import Measurable
from induction.model.memory import fitting_batch

OFFSETS = {"prefix_matching": 1, "same_token": 0, "token_before": -1}
"""Column → where the attended token stands, counted from the earlier copy of the current one.

The paper's formal sentence names the token before the copy and its explanation the token after
it; the mechanism needs the token after. The other two offsets are the controls.
"""


def measure(
    model: Measurable, evaluation: Evaluation, batch_size: int | None = None
) -> dict[str, np.ndarray]:
    """Attention from each repeated token to all its earlier copies, shifted by each offset.

    Summed over the earlier copies, then the mean over all tokens of the second and later repeats
    and over sequences (paper, "Head activation evaluators"). Returns one [n_layers, n_heads]
    array between 0 and 1 for each column of OFFSETS.
    """
    scores = _sequence_scores(model, evaluation, OFFSETS, batch_size)
    return {name: value.mean(axis=-1) for name, value in scores.items()}


def measure_sequences(
    model: Measurable, evaluation: Evaluation, batch_size: int | None = None
) -> dict[str, np.ndarray]:
    """prefix_sequences: the prefix-matching scores before the mean over sequences.

    [n_layers, n_heads, sequences], for intervals by a bootstrap over sequences.
    """
    offsets = {"prefix_matching": OFFSETS["prefix_matching"]}
    scores = _sequence_scores(model, evaluation, offsets, batch_size)
    return {"prefix_sequences": scores["prefix_matching"].astype(np.float32)}


@torch.no_grad()
def _sequence_scores(
    model: Measurable, evaluation: Evaluation, offsets: Mapping[str, int], batch_size: int | None
) -> dict[str, np.ndarray]:
    """Scores [n_layers, n_heads, sequences] for each offset."""
    spec, probes = model.spec, evaluation.probes
    shape = (spec.n_layers, spec.n_heads, len(probes.periods))
    scores = {name: np.zeros(shape) for name in offsets}
    device, length = model.device, probes.tokens.shape[1]
    batch_size = batch_size or fitting_batch(spec, device, length, 8, patterns=True)
    for first in range(0, len(probes.periods), batch_size):
        tokens_BT = probes.tokens[first : first + batch_size]
        batch = slice(first, first + len(tokens_BT))
        record = Record(("pattern",))
        model.residual(tokens_BT.to(model.device), record)
        for name, offset in offsets.items():
            weights_BTT = target_weights(probes, offset, first, len(tokens_BT))
            weights_BTT = weights_BTT.to(model.device)
            for layer in range(spec.n_layers):
                scores_BHTT = record["pattern", layer] * weights_BTT[:, None]
                scores[name][layer, :, batch] = scores_BHTT.sum((2, 3)).T.cpu().numpy()
    return scores


def target_weights(probes: Probes, offset: int, first: int, count: int) -> Tensor:
    """Weights [count, T query, T key] whose product with a pattern, summed, gives the scores.

    1 / (number of queries) where the key is an earlier copy of the query shifted by `offset`,
    else 0. The start token is never a target.
    """
    length = probes.tokens.shape[1]
    query, key = np.arange(length)[:, None], np.arange(length)[None, :]
    weights = np.zeros((count, length, length), dtype=np.float32)
    for row, period in zip(weights, probes.periods[first : first + count], strict=True):
        last = probes.repeats * period
        distance = query - (key - offset)
        copies = (distance > 0) & (distance % period == 0) & (key - offset >= 1) & (key >= 1)
        asked = (query > period) & (query <= last)
        row[copies & asked] = 1.0 / (last - period)
    return torch.from_numpy(weights)
