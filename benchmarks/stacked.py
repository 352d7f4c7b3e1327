"""Several models of one shape in one process, as one.

Their weights are stacked, and every operation goes over all of them. A GPU that waits between the
launches of a small model's operations has that many times more to do at each.
"""

from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from induction.model.transformer import Transformer


class Stack:
    """Models that are trained together, each on its own tokens, as each would be alone."""

    def __init__(self, models: Sequence[Transformer]) -> None:
        weights, _ = stack_module_state(cast("list[torch.nn.Module]", list(models)))
        self.weights: dict[str, Tensor] = weights
        self._model = models[0]

    def losses(self, tokens_KBT: Tensor) -> Tensor:
        """The mean loss of each model on its tokens, [K]."""

        def loss(weights: dict[str, Tensor], tokens_BT: Tensor) -> Tensor:
            logits_BTV = functional_call(self._model, weights, (tokens_BT[:, :-1],))
            return F.cross_entropy(logits_BTV.flatten(0, 1), tokens_BT[:, 1:].flatten())

        return vmap(loss)(self.weights, tokens_KBT)
