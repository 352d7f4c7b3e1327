"""Losses on the evaluation set: per token, per index, and over the two windows of the ICL score."""

import numpy as np
import torch

from induction.measure.evaluation import Evaluation
from induction.model.kernels import cross_entropies
from induction.model.memory import fitting_batch
from induction.model.transformer import Transformer


@torch.no_grad()
def token_losses(
    model: Transformer, evaluation: Evaluation, batch_size: int | None = None
) -> np.ndarray:
    """Loss of every token in nats, [examples, n_ctx].

    Index i of an example is the prediction of its token i + 1 from its tokens 0 … i.
    """
    device, length = model.W_E.device, evaluation.tokens.shape[1]
    batch_size = batch_size or fitting_batch(model.spec, device, length, 16, patterns=False)
    rows = []
    for tokens_BT in evaluation.tokens.split(batch_size):
        tokens_BT = tokens_BT.to(device)
        resid_ND = model.residual(tokens_BT[:, :-1]).flatten(0, 1)
        losses_N = cross_entropies(resid_ND, model.W_U, tokens_BT[:, 1:].flatten())
        rows.append(losses_N.view(len(tokens_BT), -1).cpu().numpy())
    return np.concatenate(rows)


def measure(model: Transformer, evaluation: Evaluation) -> dict[str, np.ndarray]:
    """The loss arrays of one snapshot, in nats (paper, "Per-token losses").

    per_token: [examples × tokens_per_example], the losses at the kept indices.
    per_index: [n_ctx], mean over examples at each index in context.
    early, late: [examples], mean over each window; the ICL score is mean(late) − mean(early).
    """
    table = token_losses(model, evaluation)
    return {
        "per_token": np.take_along_axis(table, evaluation.kept, axis=1).ravel(),
        "per_index": table.mean(axis=0),
        "early": window(table, evaluation.early),
        "late": window(table, evaluation.late),
    }


def window(table: np.ndarray, bounds: tuple[int, int]) -> np.ndarray:
    """Mean over a window of indices, both ends included: [examples, n_ctx] → [examples]."""
    return table[:, bounds[0] : bounds[1] + 1].mean(axis=1)
