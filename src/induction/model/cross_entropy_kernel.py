"""Cross-entropy of rows of logits on one core, compiled by Numba: each row read while in cache."""

import math

import numpy as np
from numba import njit

from induction.model.attention_kernel import exp

_ALL_BUT_SIGN = np.int32(2**31 - 1)

# As in attention_kernel.py.
_compiled = njit(fastmath=True, error_model="numpy", nogil=True, cache=True)
_part = njit(fastmath=True, error_model="numpy", nogil=True, inline="always")


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


@_part
def _largest(row):
    """The largest number of a row. Numba compares floats one after the other, and whole
    numbers in vectors: with its last 31 bits turned over where it is negative, a float's bits are a
    whole number of the same rank."""
    bits, top = row.view(np.int32), np.int32(-(2**31))
    for j in range(bits.shape[0]):
        top = max(top, bits[j] ^ ((bits[j] >> np.int32(31)) & _ALL_BUT_SIGN))
    return np.int32(top ^ ((top >> np.int32(31)) & _ALL_BUT_SIGN)).view(np.float32)
