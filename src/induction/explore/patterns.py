"""What one model does on the passages: its losses and the attention of every head."""

import numpy as np
import torch
import torch.nn.functional as F

from induction.model.hooks import Record
from induction.model.transformer import Transformer


@torch.no_grad()
def token_losses(model: Transformer, passages: np.ndarray) -> np.ndarray:
    """Loss of every token but the first, in nats: [passages, length] → [passages, length − 1].

    Column i is the loss of token i + 1, predicted from tokens 0 … i of its passage.
    """
    tokens_BT = torch.from_numpy(passages).to(model.W_E.device)
    logits_BTV = model(tokens_BT[:, :-1])
    losses = F.cross_entropy(logits_BTV.flatten(0, 1), tokens_BT[:, 1:].flatten(), reduction="none")
    return losses.view(len(passages), -1).cpu().numpy()


@torch.no_grad()
def attention_patterns(model: Transformer, passages: np.ndarray) -> np.ndarray:
    """The pattern of every head on every passage, as bytes: 255 × the attention, rounded.

    passages: [passages, length]. Returns uint8 [passages, layers, heads, triangle]: the lower
    triangle (query at or after key) of length × (length + 1) / 2 cells, row by row; what is above
    it is zero.
    """
    record = Record(("pattern",))
    model.residual(torch.from_numpy(passages).to(model.W_E.device), record)
    pattern_BLHTT = torch.stack(
        [record["pattern", layer] for layer in range(model.spec.n_layers)], dim=1
    )
    rows, columns = np.tril_indices(passages.shape[1])
    triangle = pattern_BLHTT.cpu().numpy()[..., rows, columns]
    return np.round(255 * triangle).astype(np.uint8)
