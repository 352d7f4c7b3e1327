"""Cross-entropy of rows of logits on one core, compiled by Numba: each row read while in cache."""

import math

import numpy as np
from numba import njit

from induction.model.attention_kernel import exp

_compiled = njit(fastmath=True, error_model="numpy", nogil=True, cache=True)


@_compiled
def losses(logits_NV, targets_N, losses_N):
    """Fill losses with each row's −ln softmax(logits)[target], in nats."""
    for row in range(logits_NV.shape[0]):
        logits = logits_NV[row]
        largest = _largest(logits)
        total = np.float32(0)
        for j in range(logits.shape[0]):
            total += exp(logits[j] - largest)
        losses_N[row] = largest + math.log(total) - logits[targets_N[row]]


@_compiled
def losses_and_gradients(logits_NV, targets_N, losses_N):
    """The same; logits become the gradient of their row's loss."""
    for row in range(logits_NV.shape[0]):
        logits, target = logits_NV[row], targets_N[row]
        largest, of_target = _largest(logits), logits[target]
        total = np.float32(0)
        for j in range(logits.shape[0]):
            share = exp(logits[j] - largest)
            logits[j] = share
            total += share
        scale = np.float32(1) / total
        for j in range(logits.shape[0]):
            logits[j] *= scale
        logits[target] -= np.float32(1)
        losses_N[row] = largest + math.log(total) - of_target


@_compiled
def _largest(row):
    """The largest number of a row, by four searches side by side: each step waits for the last."""
    quarter = row.shape[0] // 4
    a = b = c = d = row[0]
    for j in range(quarter):
        a, b = max(a, row[j]), max(b, row[quarter + j])
        c, d = max(c, row[2 * quarter + j]), max(d, row[3 * quarter + j])
    for j in range(4 * quarter, row.shape[0]):
        a = max(a, row[j])
    return max(max(a, b), max(c, d))
