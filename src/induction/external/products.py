"""Matrix products of models of others, taken as those of our own are.

Where oneDNN's product is the one, `nn.Linear` takes half as fast a one; see `processor.products`.
"""

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from induction.model.kernels import linear
from induction.processor import products


class _Linear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:
        return _plus(linear(input, self.weight.t()), self.bias)


class _Conv1D(Conv1D):
    """GPT-2's, whose weight is [in, out]."""

    def forward(self, x: Tensor) -> Tensor:
        return _plus(linear(x, self.weight), self.bias)


def multiply_as_ours(model: PreTrainedModel) -> None:
    """Have the model's linear layers multiply by `kernels.linear` where that is not PyTorch's."""
    if products() != "onednn":
        return
    for module in model.modules():
        if type(module) is nn.Linear and _ours(module.weight):
            module.__class__ = _Linear  # the same weights, another way through them
        elif type(module) is Conv1D and _ours(module.weight):
            module.__class__ = _Conv1D


def _ours(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32


def _plus(x: Tensor, bias: Tensor | None) -> Tensor:
    return x if bias is None else x + bias
