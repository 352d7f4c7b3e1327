"""Copying score: how much a head raises the logit of the very token that it attends to."""

import numpy as np
import torch
from torch import Tensor

from induction.evaluation.evaluation_set import EvaluationSet
from induction.measure.circuits import normalised_unembedding
from induction.model.hooks import Record
from induction.model.interface import Measurable

_ZERO = 1e-6  # share of its factors' norms that rounding in float32 leaves of a zero product


@torch.no_grad()
def measure(model: Measurable, evaluation: EvaluationSet) -> dict[str, np.ndarray]:
    """Copying of every head on random tokens without repeats, between −1 and 1.

    For each source token, what the head would write for it goes through the direct path to the
    logits of the sample's tokens; their mean is subtracted and negative ones are set to 0; the
    share of the source token itself is rescaled from [0, 1] to [−1, 1] and averaged over sources,
    weighted by the attention that they get (paper, "Head activation evaluators").

    Returns two [n_layers, n_heads] arrays: "copying" with the final norm folded into the
    unembedding (its scale cancels in the share), "copying_raw" through the unembedding alone. A
    head that moves no logit scores the chance of one in n, the tokens of a sample: 2 / n − 1.
    """
    probes = evaluation.probes
    # The first segment alone: no token stands twice.
    tokens_BT = probes.tokens[:, : 1 + int(probes.periods.min())].to(model.device)
    record = Record(("pattern", "resid_pre"))
    model.residual(tokens_BT, record)
    sample_BS = tokens_BT[:, 1:]
    scores = {}
    for name, W_U in (
        ("copying", normalised_unembedding(model).float()),
        ("copying_raw", model.W_U),
    ):
        unembed_BDS = W_U.T[sample_BS].transpose(1, 2)
        # The sample's mean is taken off the directions, so that it is off every head's logits.
        unembed_BDS = unembed_BDS - unembed_BDS.mean(dim=-1, keepdim=True)
        layers = range(model.spec.n_layers)
        scores[name] = np.array([_layer_scores(model, n, record, unembed_BDS) for n in layers])
    return scores


def _layer_scores(
    model: Measurable, layer: int, record: Record, unembed_BDS: Tensor
) -> list[float]:
    x_BSD = model.norm(layer)(record["resid_pre", layer].float())[:, 1:]
    # The start token is attended to, but not a token of the sample.
    attention_BHS = record["pattern", layer][:, :, 1:, 1:].sum(dim=2)
    _, _, W_V, W_O = model.head_matrices(layer)
    scores = []
    for head in range(model.spec.n_heads):
        raised_BSS = (x_BSD @ W_V[head] @ W_O[head] @ unembed_BDS).clamp(min=0)
        total_BS = raised_BSS.sum(dim=-1)
        size_BS = x_BSD.norm(dim=-1) * unembed_BDS.norm(dim=(-2, -1))[:, None]
        silent_BS = total_BS <= _ZERO * size_BS * W_V[head].norm() * W_O[head].norm()
        chance = 1.0 / raised_BSS.shape[-1]
        own_BS = raised_BSS.diagonal(dim1=-2, dim2=-1)
        share_BS = torch.where(silent_BS, chance, own_BS / total_BS)
        weight_BS = attention_BHS[:, head].clamp(min=1e-12)  # no attention at all: all count alike
        scores.append(float(2 * (share_BS * weight_BS).sum() / weight_BS.sum() - 1))
    return scores
