"""Previous-token score: how much a head attends to the token just before."""

import numpy as np
import torch

from induction.evaluation.evaluation_set import EvaluationSet
from induction.model.hooks import Record
from induction.model.interface import Measurable
from induction.model.memory import fitting_batch


@torch.no_grad()
def measure(
    model: Measurable, evaluation: EvaluationSet, batch_size: int | None = None
) -> dict[str, np.ndarray]:
    """Mean attention i → i − 1 on validation text, over examples and i ≥ 1, per head.

    Returns {"previous_token": [n_layers, n_heads]}, between 0 and 1 (paper, "Head activation
    evaluators").
    """
    spec = model.spec
    total = np.zeros((spec.n_layers, spec.n_heads))
    examples = evaluation.tokens[: evaluation.pattern_examples, :-1]
    device, length = model.device, examples.shape[1]
    batch_size = batch_size or fitting_batch(spec, device, length, 8, patterns=True)
    for tokens_BT in examples.split(batch_size):
        record = Record(("pattern",))
        model.residual(tokens_BT.to(model.device), record)
        for layer in range(spec.n_layers):
            back_one_BHT = record["pattern", layer].diagonal(offset=-1, dim1=-2, dim2=-1)
            total[layer] += back_one_BHT.mean(dim=-1).sum(dim=0).double().cpu().numpy()
    return {"previous_token": total / len(examples)}
