"""The operations that take most of the time: products, causal attention, cross-entropy.

On a CPU attention is that of attention_kernel.py, logits are worked on in pieces that stay in the
cache, and products are oneDNN's or PyTorch's, see `processor.products`. On other devices, in
bfloat16 and for numbers other than float32 all are PyTorch's, and pieces of logits are large enough
for a GPU. Shape suffixes as in transformer.py.
"""

import math
from functools import cache
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from threadpoolctl import threadpool_limits
from torch import Tensor

from induction.model.side_by_side import side_by_side
from induction.processor import products

_ONEDNN = products() == "onednn" and torch.backends.mkldnn.is_available()
_ROWS = 256  # whose logits are made at once: few enough for the cache
_LOGITS = 1 << 27  # made at once elsewhere: half a gigabyte of float32


def linear(x: Tensor, W: Tensor) -> Tensor:
    """x W, as `x @ W`: [..., M] and [M, N] to [..., N]."""
    return _Linear.apply(x, W) if _ONEDNN and _on_cpu(x) else x @ W


def causal_attention(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor) -> Tensor:
    """Every head's output z [B, H, T, K], as `F.scaled_dot_product_attention` with `is_causal`."""
    if not _on_cpu(q_BHTK):
        return F.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, is_causal=True)
    return _CausalAttention.apply(q_BHTK, k_BHTK, v_BHTK)


def causal_patterns(q_BHTK: Tensor, k_BHTK: Tensor) -> Tensor:
    """Attention probabilities, [B, H, T query, T key]."""
    training = torch.is_grad_enabled() and (q_BHTK.requires_grad or k_BHTK.requires_grad)
    if training or not _on_cpu(q_BHTK):
        return _plain_patterns(q_BHTK, k_BHTK)
    B, H, T, _ = q_BHTK.shape
    patterns_BHTT = q_BHTK.new_empty(B, H, T, T)
    side_by_side(_attention_kernel().patterns, _in_order(q_BHTK), _in_order(k_BHTK), patterns_BHTT)
    return patterns_BHTT


def _plain_patterns(q_BHTK: Tensor, k_BHTK: Tensor) -> Tensor:
    n, d_head = q_BHTK.shape[-2:]
    scores = q_BHTK @ k_BHTK.transpose(-1, -2) / math.sqrt(d_head)
    future = torch.ones(n, n, dtype=torch.bool, device=scores.device).triu(1)
    return scores.masked_fill(future, -torch.inf).softmax(dim=-1)


def mean_cross_entropy(x_ND: Tensor, W_DV: Tensor, targets_N: Tensor) -> Tensor:
    """Mean over rows of the cross-entropy of the logits x W, in nats, as `F.cross_entropy`.

    Its gradients are taken on the way, piece by piece, so that no [N, V] array is made.
    """
    if not _on_cpu(x_ND):
        return _PlainMeanCrossEntropy.apply(x_ND, W_DV, targets_N)
    return _MeanCrossEntropy.apply(x_ND, W_DV, targets_N)


def cross_entropies(x_ND: Tensor, W_DV: Tensor, targets_N: Tensor) -> Tensor:
    """The cross-entropy of each row's logits x W, [N], in nats. Without gradients."""
    losses_N = x_ND.new_empty(len(x_ND))
    at_once = _ROWS if _on_cpu(x_ND) else _rows_elsewhere(W_DV)
    for first in range(0, len(x_ND), at_once):
        rows = slice(first, first + at_once)
        logits_NV = linear(x_ND[rows], W_DV)
        losses_N[rows] = F.cross_entropy(logits_NV, targets_N[rows], reduction="none")
    return losses_N


def _on_cpu(x: Tensor) -> bool:
    """Whether the code for CPUs does it, and not PyTorch's own."""
    plain = x.device.type != "cpu" or x.dtype != torch.float32
    return not (plain or torch.is_autocast_enabled("cpu"))


@cache
def _attention_kernel() -> ModuleType:
    """Loaded where it is used: Numba takes a second to start."""
    import scipy.linalg.cython_blas  # noqa: F401  # whose products the kernel calls

    from induction.model import attention_kernel

    threadpool_limits(1, user_api="blas")  # the threads are those of side_by_side
    return attention_kernel


def _rows_elsewhere(W_DV: Tensor) -> int:
    return max(1, _LOGITS // W_DV.shape[1])


def _product(x_NM: Tensor, W_MV: Tensor) -> Tensor:
    """x W, for two dimensions each."""
    if not _ONEDNN:
        return x_NM @ W_MV
    return torch.ops.mkldnn._linear_pointwise(x_NM, W_MV.t(), None, "none", [], "")


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, W_MN: Tensor) -> Tensor:
        ctx.save_for_backward(x, W_MN)
        return _product(x.reshape(-1, x.shape[-1]), W_MN).view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor]:
        x, W_MN = ctx.saved_tensors
        rows = x.reshape(-1, x.shape[-1])
        out = gradients[0].reshape(-1, W_MN.shape[1])
        # oneDNN copies a turned left factor: let it be the narrower one.
        wide = rows.shape[1] > out.shape[1]
        dW_MN = _product(out.t(), rows).t() if wide else _product(rows.t(), out)
        return _product(out, W_MN.t()).view(x.shape), dW_MN


class _CausalAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor) -> Tensor:
        given = [_in_order(x) for x in (q_BHTK, k_BHTK, v_BHTK)]
        z_BTHK, log_sums_BHT = torch.empty_like(given[0]), q_BHTK.new_empty(q_BHTK.shape[:3])
        side_by_side(_attention_kernel().forward, *given, z_BTHK, log_sums_BHT)
        ctx.save_for_backward(*given, z_BTHK, log_sums_BHT)
        return z_BTHK.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        found = [torch.empty_like(x) for x in ctx.saved_tensors[:3]]
        dz_BTHK = _in_order(gradients[0])
        side_by_side(_attention_kernel().backward, *ctx.saved_tensors, dz_BTHK, *found)
        return tuple(x.transpose(1, 2) for x in found)


def _in_order(x_BHTK: Tensor) -> Tensor:
    """[B, T, H, K], as it lies where the products beside it made it, or a copy."""
    return x_BHTK.transpose(1, 2).contiguous()


class _MeanCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, W_DV: Tensor, targets_N: Tensor) -> Tensor:
        dx_ND, dW_DV = torch.empty_like(x_ND), torch.zeros_like(W_DV)
        losses_N = x_ND.new_empty(len(x_ND))
        for first in range(0, len(x_ND), _ROWS):
            rows = slice(first, first + _ROWS)
            logits_NV, targets_N1 = _product(x_ND[rows], W_DV), targets_N[rows, None]
            gradient_NV = logits_NV.softmax(dim=1)
            share_N1 = gradient_NV.gather(1, targets_N1)
            losses_N[rows] = -share_N1[:, 0].log()
            if not share_N1.all():  # the share of a target is too small for float32
                losses_N[rows] = F.cross_entropy(logits_NV, targets_N[rows], reduction="none")
            gradient_NV.scatter_(1, targets_N1, share_N1 - 1)
            dx_ND[rows] = _product(gradient_NV, W_DV.t())
            dW_DV += _product(x_ND[rows].t(), gradient_NV)
        ctx.save_for_backward(dx_ND.div_(len(x_ND)), dW_DV.div_(len(x_ND)))
        return losses_N.mean()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        dx_ND, dW_DV = ctx.saved_tensors
        return dx_ND * gradients[0], dW_DV * gradients[0], None


class _PlainMeanCrossEntropy(torch.autograd.Function):
    """As _MeanCrossEntropy, from PyTorch's operations: products in mixed precision where that is
    on, softmax and losses in the precision of x."""

    @staticmethod
    def forward(ctx: Any, x_ND: Tensor, W_DV: Tensor, targets_N: Tensor) -> Tensor:
        device, dtype = x_ND.device.type, x_ND.dtype
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        x, W = x_ND.to(dtype), W_DV.to(dtype)
        dx_ND, dW_DV = torch.empty_like(x_ND), torch.zeros_like(W_DV)
        total = x_ND.new_zeros(())
        at_once = _rows_elsewhere(W_DV)
        vocabulary_V = torch.arange(W_DV.shape[1], device=x_ND.device)
        with torch.autocast(device, enabled=False):
            for first in range(0, len(x), at_once):
                rows = slice(first, first + at_once)
                logits_NV = (x[rows] @ W).to(x_ND.dtype)
                targets_N1 = targets_N[rows, None]
                log_sums_N1 = logits_NV.logsumexp(dim=1, keepdim=True)
                log_shares_N1 = logits_NV.gather(1, targets_N1) - log_sums_N1
                total = total - log_shares_N1.sum()
                gradient_NV = (logits_NV - log_sums_N1).exp()
                # Not scatter, which a GPU sorts for when it is to be deterministic.
                gradient_NV = torch.where(
                    targets_N1 == vocabulary_V, log_shares_N1.exp() - 1, gradient_NV
                ).to(dtype)
                dx_ND[rows] = gradient_NV @ W.t()
                dW_DV += x[rows].t() @ gradient_NV
        ctx.save_for_backward(dx_ND.div_(len(x)), dW_DV.div_(len(x)))
        return total / len(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        dx_ND, dW_DV = ctx.saved_tensors
        return dx_ND * gradients[0], dW_DV * gradients[0], None
