"""Losses on the evaluation set: per token, per index, and over the two windows of the ICL score."""

import numpy as np
import torch

from induction.evaluation.evaluation_set import EvaluationSet
from induction.model.interface import Measurable
from induction.model.kernels import cross_entropies
from induction.model.memory import fitting_batch


@torch.no_grad()
def token_losses(
    model: Measurable, evaluation: EvaluationSet, batch_size: int | None = None
) -> np.ndarray:
    """Loss of every token of the study in nats, [examples, n_ctx].

    Index i of an example is the prediction of its token i + 1 from its tokens 0 … i.
    """
    device, length = model.device, evaluation.tokens.shape[1]
    clamped = getattr(model.spec, "clamp", "none") != "none"  # what is clamped makes patterns
    batch_size = batch_size or fitting_batch(model.spec, device, length, 8, patterns=clamped)
    rows = []
    for first in range(0, len(evaluation.tokens), batch_size):
        tokens_BT = evaluation.tokens[first : first + batch_size].to(model.device)
        resid_ND = model.residual(tokens_BT[:, :-1]).flatten(0, 1)
        losses_N = cross_entropies(resid_ND, model.W_U, tokens_BT[:, 1:].flatten())
        losses = losses_N.view(len(tokens_BT), -1).cpu().numpy()
        rows.append(evaluation.at_tokens(losses, first))
    return np.concatenate(rows)


def measure(model: Measurable, evaluation: EvaluationSet) -> dict[str, np.ndarray]:
    """The loss arrays of one snapshot, in nats (paper, "Per-token losses").

    per_token: [examples × tokens_per_example], the losses at the kept indices.
    per_index: [n_ctx], mean over examples at each index in context.
    early, late: [examples], mean over each window; the ICL score is mean(late) − mean(early).
    copyable, uncopyable: [2], mean over the targets of the early and of the late window that the
    context does and does not let one copy (Şahin et al. 2025); NaN where there are none. Only for
    models that read the study's tokens.
    per_character: mean over all characters, which models of different vocabularies share.
    """
    table = token_losses(model, evaluation)
    return {
        "per_token": np.take_along_axis(table, evaluation.kept, axis=1).ravel(),
        "per_index": table.mean(axis=0),
        "early": window(table, evaluation.early),
        "late": window(table, evaluation.late),
        "per_character": np.array(table.mean(dtype=np.float64) / evaluation.characters_per_token),
        **_by_copyability(table, evaluation),
    }


def _by_copyability(table: np.ndarray, evaluation: EvaluationSet) -> dict[str, np.ndarray]:
    if evaluation.grid is not None:
        return {}
    windows, can_copy = (evaluation.early, evaluation.late), evaluation.copyable
    return {
        "copyable": np.array([mean_where(table, can_copy, ends) for ends in windows]),
        "uncopyable": np.array([mean_where(table, ~can_copy, ends) for ends in windows]),
    }


def window(table: np.ndarray, bounds: tuple[int, int]) -> np.ndarray:
    """Mean over a window of indices, both ends included: [examples, n_ctx] → [examples]."""
    return table[:, bounds[0] : bounds[1] + 1].mean(axis=1)


def mean_where(table: np.ndarray, asked: np.ndarray, bounds: tuple[int, int]) -> float:
    """Mean over what is asked, bool [examples, n_ctx], of a window of indices, both ends
    included; NaN where nothing is."""
    part = slice(bounds[0], bounds[1] + 1)
    values = table[:, part][asked[:, part]]
    return float(values.mean(dtype=np.float64)) if len(values) else float("nan")
