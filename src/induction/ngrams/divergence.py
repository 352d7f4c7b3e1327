"""How far what a model predicts is from what n-grams predict.

Hoogland et al. 2024 (arXiv 2402.02364) and Edelman et al. 2024 (arXiv 2402.11004) tell stages of
training apart by it: a model that has learned nothing else yet predicts as bigrams do.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from induction.evaluation.evaluation_set import EvaluationSet
from induction.model.interface import Measurable
from induction.ngrams.predictors import predict

PREDICTORS = ("unigram", "bigram", "trigram")

_LEFT_OUT = len(PREDICTORS) - 2
"""Indices at the start of a window that have too few tokens before them for every predictor."""


@dataclass(frozen=True)
class Prediction:
    """What one predictor gives the next token, at every index of every example that has tokens
    enough before it.

    probabilities: float32 [examples, indices, d_vocab]. entropy: [examples], mean over the indices,
    in nats: the least that a model could lose on a text that the predictor writes.
    """

    probabilities: Tensor
    entropy: np.ndarray


def predictions(
    evaluation: EvaluationSet, train: np.ndarray, d_vocab: int
) -> dict[str, Prediction]:
    """What each predictor says of an evaluation set, by its name.

    train: [tokens], the training text.
    """
    tokens = evaluation.tokens.numpy()[:, :-1]
    contexts = np.lib.stride_tricks.sliding_window_view(tokens, len(PREDICTORS) - 1, axis=1)
    flat = predict(train, contexts.reshape(-1, contexts.shape[-1]), d_vocab)
    found = {}
    for name, each in zip(PREDICTORS, flat, strict=True):
        shaped = each.reshape(*contexts.shape[:2], d_vocab)
        entropy = -(shaped * np.log(shaped)).sum(axis=2, dtype=np.float64).mean(axis=1)
        found[name] = Prediction(torch.from_numpy(shaped), entropy)
    return found


@torch.no_grad()
def divergences(
    model: Measurable, evaluation: EvaluationSet, predicted: dict[str, Prediction]
) -> dict[str, np.ndarray]:
    """KL(predictor ‖ model) in nats, mean over the indices of each example: [examples] each.

    It is the loss that a text written by the predictor would cost the model, over the least that
    any model could reach on it.
    """
    losses: dict[str, list[float]] = {name: [] for name in predicted}
    for example, tokens_T in enumerate(evaluation.tokens.to(model.device)):
        resid_TD = model.residual(tokens_T[None, :-1])[0, _LEFT_OUT:]
        own_TV = F.log_softmax((resid_TD @ model.W_U).float(), dim=-1)
        for name, each in predicted.items():
            theirs_TV = each.probabilities[example].to(model.device)
            losses[name].append(-float((theirs_TV * own_TV).sum()) / len(own_TV))
    return {name: np.array(losses[name]) - each.entropy for name, each in predicted.items()}
