"""Prefix-matching score: how much a head attends to what followed the current token before."""

import numpy as np
import torch
from torch import Tensor

from induction.evaluation.evaluation_set import EvaluationSet
from induction.evaluation.probes import Probes
from induction.model.hooks import Record
from induction.model.interface import Measurable
from induction.model.memory import fitting_batch

OFFSETS = {"prefix_matching": 1, "same_token": 0, "token_before": -1}
"""Column → where the attended token stands, counted from the earlier copy of the current one.

The paper's formal sentence names the token before the copy and its explanation the token after
it; the mechanism needs the token after. The other two offsets are the controls.
"""


def measure(
    model: Measurable, evaluation: EvaluationSet, batch_size: int | None = None
) -> dict[str, np.ndarray]:
    """Attention from each repeated token to all its earlier copies, shifted by each offset.

    Summed over the earlier copies, then the mean over all tokens of the second and later repeats
    and over sequences (paper, "Head activation evaluators"). One [n_layers, n_heads] array between
    0 and 1 for each column of OFFSETS; and prefix_sequences, [n_layers, n_heads, sequences], the
    prefix-matching scores before the mean over sequences, for intervals by a bootstrap.
    """
    scores = _sequence_scores(model, evaluation, batch_size)
    means = {name: value.mean(axis=-1) for name, value in scores.items()}
    return means | {"prefix_sequences": scores["prefix_matching"].astype(np.float32)}


@torch.no_grad()
def _sequence_scores(
    model: Measurable, evaluation: EvaluationSet, batch_size: int | None
) -> dict[str, np.ndarray]:
    """Scores [n_layers, n_heads, sequences] for each column of OFFSETS."""
    spec, probes = model.spec, evaluation.probes
    shape = (spec.n_layers, spec.n_heads, len(probes.periods))
    scores = {name: np.zeros(shape) for name in OFFSETS}
    device, length = model.device, probes.tokens.shape[1]
    batch_size = batch_size or fitting_batch(spec, device, length, 8, patterns=True)
    for first in range(0, len(probes.periods), batch_size):
        tokens_BT = probes.tokens[first : first + batch_size]
        batch = slice(first, first + len(tokens_BT))
        record = Record(("pattern",))
        model.residual(tokens_BT.to(model.device), record)
        copies_BTT = copy_weights(probes, first, len(tokens_BT)).to(model.device)
        for name, offset in OFFSETS.items():
            targets_BTT = copies_BTT.roll(offset, dims=-1)
            targets_BTT[..., 0] = 0  # the start token is never a target
            for layer in range(spec.n_layers):
                found_BHTT = record["pattern", layer] * targets_BTT[:, None]
                scores[name][layer, :, batch] = found_BHTT.sum((2, 3)).T.cpu().numpy()
    return scores


def copy_weights(probes: Probes, first: int, count: int) -> Tensor:
    """Weights [count, T query, T key] whose product with a pattern, summed, gives the scores.

    1 / (number of queries) where the key is an earlier copy of the query, else 0.
    """
    length = probes.tokens.shape[1]
    query, key = np.arange(length)[:, None], np.arange(length)[None, :]
    weights = np.zeros((count, length, length), dtype=np.float32)
    for row, period in zip(weights, probes.periods[first : first + count], strict=True):
        last = probes.repeats * period
        distance = query - key
        copies = (distance > 0) & (distance % period == 0) & (key >= 1)
        asked = (query > period) & (query <= last)
        row[copies & asked] = 1.0 / (last - period)
    return torch.from_numpy(weights)
