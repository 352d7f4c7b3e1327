"""Causal attention and its gradient on one core, compiled by Numba.

At a head size of 16, library kernels spend most of their time between matrix products too small
for them. Here the pattern of a block of queries stays in the cache from scores to output, keys
later than the block cost nothing, and no pattern is kept for the gradient: it is computed again
from the log of its normaliser. Products are SciPy's (Numba takes `np.dot` from there). Arrays are
float32 and in one piece: q, k, v, z and their gradients [B, T, H, K].

Exponentials are taken of scores as they are, without their largest: float32 holds e^69, and finding
the largest took half as long as all else from scores to pattern. Where a total leaves the range,
the block is done again, with the largest subtracted.
"""

import math
from typing import Any

import numpy as np
from llvmlite.binding import get_host_cpu_features, get_host_cpu_name
from numba import njit
from numba.core import config

_QUERIES = 32  # in a block: few enough for the cache, enough for a product
_ZERO, _ONE, _LOWEST, _HIGHEST = np.float32(0), np.float32(1), np.float32(-1e30), np.float32(80)
_LEAST_TOTAL, _MOST_TOTAL = np.float32(1e-25), np.float32(1e30)

# Vectors as long as the processor has them: on Intel's, LLVM takes half of that by default.
_options: Any = config
if not _options.CPU_NAME and get_host_cpu_features().get("avx512f"):
    _options.CPU_NAME = get_host_cpu_name()
    _options.CPU_FEATURES = f"{get_host_cpu_features().flatten()},-prefer-256-bit"

# Sums may be taken in any order, which one being fixed when the code is compiled. The compiled code
# is kept beside Python's own in __pycache__. Parts are written into their callers before these are
# compiled: left to the compiler, that depends on what else a process has compiled, as do the bits.
_compiled = njit(fastmath=True, error_model="numpy", nogil=True, cache=True)
_part = njit(fastmath=True, error_model="numpy", nogil=True, inline="always")


@_compiled
def forward(q, k, v, z, log_sums):
    """Fill z with the outputs and log_sums [B, H, T] with the logs of the patterns' normalisers."""
    B, T, H, K = q.shape
    scale = np.float32(1 / math.sqrt(K))
    q_TK, v_TK, k_KT, z_QK = _empty(T, K), _empty(T, K), _empty(K, T), _empty(_QUERIES, K)
    k_room, pattern_room = _empty(K, T), _empty(_QUERIES, T)
    total, largest = np.empty(_QUERIES, np.float32), np.empty(_QUERIES, np.float32)
    for b in range(B):
        for h in range(H):
            _take(q, b, h, scale, q_TK)
            _take(v, b, h, _ONE, v_TK)
            _turn(k, b, h, k_KT)
            for first in range(0, T, _QUERIES):
                seen = min(first + _QUERIES, T)
                queries = seen - first
                pattern = _piece(pattern_room, queries, seen)
                k_seen = _seen(k_KT, seen, k_room)
                _attend(q_TK[first:seen], k_seen, pattern, total, largest, first)
                np.dot(pattern, v_TK[:seen], z_QK[:queries])
                for row in range(queries):
                    share = _ONE / total[row]
                    for c in range(K):
                        z[b, first + row, h, c] = z_QK[row, c] * share
                    log_sums[b, h, first + row] = largest[row] + math.log(total[row])


@_compiled
def patterns(q, k, filled):
    """Fill an array [B, H, T query, T key] with the attention probabilities."""
    B, T, H, K = q.shape
    scale = np.float32(1 / math.sqrt(K))
    q_TK, k_KT = _empty(T, K), _empty(K, T)
    k_room, pattern_room = _empty(K, T), _empty(_QUERIES, T)
    total, largest = np.empty(_QUERIES, np.float32), np.empty(_QUERIES, np.float32)
    for b in range(B):
        for h in range(H):
            _take(q, b, h, scale, q_TK)
            _turn(k, b, h, k_KT)
            for first in range(0, T, _QUERIES):
                seen = min(first + _QUERIES, T)
                queries = seen - first
                pattern = _piece(pattern_room, queries, seen)
                k_seen = _seen(k_KT, seen, k_room)
                _attend(q_TK[first:seen], k_seen, pattern, total, largest, first)
                for row in range(queries):
                    share = _ONE / total[row]
                    for j in range(seen):
                        filled[b, h, first + row, j] = pattern[row, j] * share
                    filled[b, h, first + row, seen:] = _ZERO


@_compiled
def backward(q, k, v, z, log_sums, dz, dq, dk, dv):
    """Fill dq, dk and dv with the gradients, given that of z and what `forward` filled."""
    B, T, H, K = q.shape
    scale = np.float32(1 / math.sqrt(K))
    q_TK, k_TK, dz_TK, dq_QK = _empty(T, K), _empty(T, K), _empty(T, K), _empty(_QUERIES, K)
    dk_TK, dv_TK, part_TK = _empty(T, K), _empty(T, K), _empty(T, K)
    k_KT, v_KT = _empty(K, T), _empty(K, T)
    k_room, v_room = _empty(K, T), _empty(K, T)
    pattern_room, dscores_room = _empty(_QUERIES, T), _empty(_QUERIES, T)
    for b in range(B):
        for h in range(H):
            _take(q, b, h, scale, q_TK)
            _take(k, b, h, _ONE, k_TK)
            _take(dz, b, h, _ONE, dz_TK)
            _turn(k, b, h, k_KT)
            _turn(v, b, h, v_KT)
            dk_TK[:] = _ZERO
            dv_TK[:] = _ZERO
            for first in range(0, T, _QUERIES):
                seen = min(first + _QUERIES, T)
                queries = seen - first
                pattern = _piece(pattern_room, queries, seen)
                dscores = _piece(dscores_room, queries, seen)
                q_block, dz_block = q_TK[first:seen], dz_TK[first:seen]
                np.dot(q_block, _seen(k_KT, seen, k_room), pattern)
                np.dot(dz_block, _seen(v_KT, seen, v_room), dscores)
                for row in range(queries):
                    log_sum, along = log_sums[b, h, first + row], _ZERO
                    for c in range(K):
                        along += dz_block[row, c] * z[b, first + row, h, c]
                    _softmax_gradient(pattern[row], dscores[row], first + row, log_sum, along)
                np.dot(dscores.T, q_block, part_TK[:seen])
                _add(part_TK[:seen], dk_TK)
                np.dot(pattern.T, dz_block, part_TK[:seen])
                _add(part_TK[:seen], dv_TK)
                np.dot(dscores, k_TK[:seen], dq_QK[:queries])
                for row in range(queries):
                    for c in range(K):
                        dq[b, first + row, h, c] = dq_QK[row, c] * scale
            _give(dk_TK, b, h, dk)
            _give(dv_TK, b, h, dv)


@_part
def _empty(rows, columns):
    return np.empty((rows, columns), np.float32)


@_part
def _piece(room, rows, columns):
    """An array in one piece, in the room of a larger one."""
    return room.reshape(room.size)[: rows * columns].reshape(rows, columns)


@_part
def _take(x, b, h, factor, x_TK):
    """One head's rows, in one piece, times a factor."""
    for t in range(x.shape[1]):
        for c in range(x.shape[3]):
            x_TK[t, c] = x[b, t, h, c] * factor


@_part
def _turn(x, b, h, x_KT):
    """One head's rows as columns."""
    for t in range(x.shape[1]):
        for c in range(x.shape[3]):
            x_KT[c, t] = x[b, t, h, c]


@_part
def _give(x_TK, b, h, x):
    for t in range(x.shape[1]):
        for c in range(x.shape[3]):
            x[b, t, h, c] = x_TK[t, c]


@_part
def _seen(x_KT, seen, room):
    """The columns of the keys that a block looks at, in one piece."""
    x_seen = _piece(room, x_KT.shape[0], seen)
    for c in range(x_KT.shape[0]):
        for t in range(seen):
            x_seen[c, t] = x_KT[c, t]
    return x_seen


@_part
def _add(part_TK, sum_TK):
    for t in range(part_TK.shape[0]):
        for c in range(part_TK.shape[1]):
            sum_TK[t, c] += part_TK[t, c]


@_part
def _attend(q_QK, k_seen, pattern, total, largest, first):
    """Fill a block's pattern, but for the division by total, and what was subtracted before."""
    np.dot(q_QK, k_seen, pattern)
    largest[:] = _ZERO
    if not _exponentials(pattern, total, first):
        np.dot(q_QK, k_seen, pattern)
        _subtract_largest(pattern, total, largest, first)
        _exponentials(pattern, total, first)


@_part
def _exponentials(scores, total, first):
    """Scores become their exponentials, 0 for later keys. Also fill the totals; False when
    one of them is out of range."""
    in_range = True
    for row in range(scores.shape[0]):
        for j in range(first + row + 1, scores.shape[1]):
            scores[row, j] = _LOWEST
        along = _ZERO
        for j in range(scores.shape[1]):
            p = exp(min(scores[row, j], _HIGHEST))
            scores[row, j] = p
            along += p
        total[row] = along
        in_range = in_range and _LEAST_TOTAL < along < _MOST_TOTAL
    return in_range


@_part
def _subtract_largest(scores, total, largest, first):
    """Where the total is out of range, take from a query's scores the largest that it may look at:
    the others come out as they were, whatever stands behind them."""
    for row in range(scores.shape[0]):
        if not _LEAST_TOTAL < total[row] < _MOST_TOTAL:
            top = scores[row, 0]
            for j in range(first + row + 1):
                top = max(top, scores[row, j])
            for j in range(scores.shape[1]):
                scores[row, j] -= top
            largest[row] = top


@_part
def _softmax_gradient(scores, dpattern, query, log_sum, along):
    """One query's scores become its pattern, the pattern's gradient that of the scores."""
    for j in range(len(scores)):
        p = exp(scores[j] - log_sum)
        scores[j] = p
        dpattern[j] = p * (dpattern[j] - along)
    for j in range(query + 1, len(scores)):
        scores[j] = dpattern[j] = _ZERO


@_part
def exp(x):
    """e^x for x ≤ 88 to within two units in the last place, in operations that vectorise; 0 for x
    below −87, whose products would be too small to be normal, which Intel's processors are slow at.

    e^x = 2^n e^r with whole n and |r| ≤ ln 2 / 2; ln 2 in two parts, so that r is exact; e^r by the
    first terms of its series.
    """
    within = x > np.float32(-87)
    x = max(x, np.float32(-87))
    n = np.floor(x * np.float32(1 / math.log(2)) + np.float32(0.5))
    r = (x - n * np.float32(0.693359375)) + n * np.float32(0.693359375 - math.log(2))
    e = np.float32(1 / 5040)
    for divisor in (720, 120, 24, 6, 2, 1, 1):
        e = e * r + np.float32(1 / divisor)
    bits = (np.int32(n) + np.int32(127)) << np.int32(23)
    return e * np.int32(bits).view(np.float32) if within else _ZERO
