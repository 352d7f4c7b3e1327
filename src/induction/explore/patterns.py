"""What one model does on the passages: its losses and the attention of every head."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from induction.model.hooks import Record
from induction.model.memory import fitting_batch
from induction.model.transformer import Transformer


@torch.no_grad()
def token_losses(model: Transformer, passages: np.ndarray) -> np.ndarray:
    """Loss of every token but the first, in nats: [passages, length] → [passages, length − 1].

    Column i is the loss of token i + 1, predicted from tokens 0 … i of its passage.
    """
    losses = []
    for tokens_BT in _batches(model, passages, patterns=False):
        logits_NV = model(tokens_BT[:, :-1]).flatten(0, 1)
        losses_N = F.cross_entropy(logits_NV, tokens_BT[:, 1:].flatten(), reduction="none")
        losses.append(losses_N.view(len(tokens_BT), -1).cpu().numpy())
    return np.concatenate(losses)


@torch.no_grad()
def attention_patterns(model: Transformer, passages: np.ndarray) -> np.ndarray:
    """The pattern of every head on every passage, as bytes: 255 × the attention, rounded.

    passages: [passages, length]. Returns uint8 [passages, layers, heads, triangle]: the lower
    triangle (query at or after key) of length × (length + 1) / 2 cells, row by row; what is above
    it is zero.
    """
    rows, columns = np.tril_indices(passages.shape[1])
    found = []
    for tokens_BT in _batches(model, passages, patterns=True):
        record = Record(("pattern",))
        model.residual(tokens_BT, record)
        pattern_BLHTT = torch.stack(
            [record["pattern", layer] for layer in range(model.spec.n_layers)], dim=1
        )
        triangle = pattern_BLHTT.cpu().numpy()[..., rows, columns]
        found.append(np.round(255 * triangle).astype(np.uint8))
    return np.concatenate(found)


def _batches(model: Transformer, passages: np.ndarray, *, patterns: bool) -> Iterator[Tensor]:
    """The passages on the model's device, as many at once as fit."""
    device = model.W_E.device
    count, length = passages.shape
    size = fitting_batch(model.spec, device, length, count, patterns=patterns)
    for tokens_BT in torch.from_numpy(passages).split(size):
        yield tokens_BT.to(device)
