"""Causal attention and its gradient on one core, compiled by Numba.

At a head size of 16, library kernels spend most of their time between matrix products too small
for them. Here the pattern of eight queries stays in the first-level cache from scores to output,
keys later than the queries cost nothing, and no pattern is kept for the gradient: it is computed
again from the log of its normaliser. All arrays are float32, [B, H, T, K] with any strides; inner
loops run along keys, and their number is rounded up to whole vectors.

Exponentials are taken of scores as they are, without their largest: float32 holds e^69, and finding
the largest took half as long as all else from scores to pattern. Where a total leaves the range,
the block is done again, with the largest subtracted.
"""

import math

import numpy as np
from numba import njit

_QUERIES = 8
_VECTOR = 16  # keys; a multiple of every processor's vector length
_LINE = 64 // 4  # numbers in a line of the cache: a vector that lies across two takes twice as long
_ZERO, _ONE, _LOWEST, _HIGHEST = np.float32(0), np.float32(1), np.float32(-1e30), np.float32(80)
_LEAST_TOTAL, _MOST_TOTAL = np.float32(1e-25), np.float32(1e30)

# Sums may be taken in any order, which one being fixed when the code is compiled. The compiled code
# is kept beside Python's own in __pycache__. Parts are written into their callers before these are
# compiled: left to the compiler, that depends on what else a process has compiled, as do the bits.
_compiled = njit(fastmath=True, error_model="numpy", nogil=True, cache=True)
_part = njit(fastmath=True, error_model="numpy", nogil=True, inline="always")


@_compiled
def forward(q, k, v, z, log_sums):
    """Fill z with the outputs and log_sums [B, H, T] with the logs of the patterns' normalisers."""
    B, H, T, K = q.shape
    scale = np.float32(1 / math.sqrt(K))
    q_HTK, k_HTK, v_HTK = _example(H, T, K), _example(H, T, K), _example(H, T, K)
    z_HTK = _example(H, T, K)
    width = _width(T)
    k_KT, v_KT = _rows(K, width), _rows(K, width)
    pattern = _rows(_QUERIES, width)
    largest, total = np.zeros(_QUERIES, np.float32), np.ones(_QUERIES, np.float32)
    for b in range(B):
        _copy(q[b], scale, q_HTK)
        _copy(k[b], _ONE, k_HTK)
        _copy(v[b], _ONE, v_HTK)
        for h in range(H):
            _turn(k_HTK[h], k_KT)
            _turn(v_HTK[h], v_KT)
            for first in range(0, T, _QUERIES):
                block, keys = slice(first, first + _QUERIES), _keys(first, width)
                _attend(q_HTK[h, block], k_KT, pattern, total, largest, first, keys)
                _mix(pattern, v_KT, z_HTK[h, block], keys)
                for row in range(_QUERIES):
                    share = _ONE / total[row]
                    for c in range(K):
                        z_HTK[h, first + row, c] *= share
                for row in range(min(_QUERIES, T - first)):
                    log_sums[b, h, first + row] = largest[row] + math.log(total[row])
        _copy(z_HTK, _ONE, z[b])


@_compiled
def patterns(q, k, filled):
    """Fill an array [B, H, T query, T key] with the attention probabilities."""
    B, H, T, K = q.shape
    scale = np.float32(1 / math.sqrt(K))
    q_HTK, k_HTK = _example(H, T, K), _example(H, T, K)
    width = _width(T)
    k_KT = _rows(K, width)
    pattern = _rows(_QUERIES, width)
    largest, total = np.zeros(_QUERIES, np.float32), np.ones(_QUERIES, np.float32)
    for b in range(B):
        _copy(q[b], scale, q_HTK)
        _copy(k[b], _ONE, k_HTK)
        for h in range(H):
            _turn(k_HTK[h], k_KT)
            for first in range(0, T, _QUERIES):
                block, keys = slice(first, first + _QUERIES), _keys(first, width)
                _attend(q_HTK[h, block], k_KT, pattern, total, largest, first, keys)
                for row in range(min(_QUERIES, T - first)):
                    share, seen = _ONE / total[row], first + row + 1
                    for j in range(seen):
                        filled[b, h, first + row, j] = pattern[row, j] * share
                    filled[b, h, first + row, seen:] = _ZERO


@_compiled
def backward(q, k, v, z, log_sums, dz, dq, dk, dv):
    """Fill dq, dk and dv with the gradients, given that of z and what `forward` filled."""
    B, H, T, K = q.shape
    scale = np.float32(1 / math.sqrt(K))
    # A gradient takes the place of what it is the gradient of, once that has been read.
    q_HTK, k_HTK, v_HTK = _example(H, T, K), _example(H, T, K), _example(H, T, K)
    z_HTK, dz_HTK = _example(H, T, K), _example(H, T, K)
    width = _width(T)
    k_KT, v_KT = _rows(K, width), _rows(K, width)
    dk_KT, dv_KT = _rows(K, width), _rows(K, width)
    pattern, dscores = _rows(_QUERIES, width), _rows(_QUERIES, width)
    for b in range(B):
        _copy(q[b], scale, q_HTK)
        _copy(k[b], _ONE, k_HTK)
        _copy(v[b], _ONE, v_HTK)
        _copy(z[b], _ONE, z_HTK)
        _copy(dz[b], _ONE, dz_HTK)
        for h in range(H):
            _turn(k_HTK[h], k_KT)
            _turn(v_HTK[h], v_KT)
            dk_KT[:] = _ZERO
            dv_KT[:] = _ZERO
            for first in range(0, T, _QUERIES):
                block, keys = slice(first, first + _QUERIES), _keys(first, width)
                _scores(q_HTK[h, block], k_KT, pattern, keys)
                _scores(dz_HTK[h, block], v_KT, dscores, keys)
                for row in range(_QUERIES):
                    query = first + row
                    log_sum, along = log_sums[b, h, query] if query < T else _ZERO, _ZERO
                    for c in range(K):
                        along += dz_HTK[h, query, c] * z_HTK[h, query, c]
                    _softmax_gradient(pattern[row], dscores[row], query, keys, log_sum, along)
                _spread(dscores, q_HTK[h, block], dk_KT, keys)
                _spread(pattern, dz_HTK[h, block], dv_KT, keys)
                _mix(dscores, k_KT, q_HTK[h, block], keys)
            _turn_back(dk_KT, k_HTK[h])
            _turn_back(dv_KT, v_HTK[h])
        _copy(q_HTK, scale, dq[b])
        _copy(k_HTK, _ONE, dk[b])
        _copy(v_HTK, _ONE, dv[b])


@_part
def _example(H, T, K):
    """Zeros for all heads of an example and whole blocks of queries, in one piece: what is spread
    over memory is read once, in its order."""
    return np.zeros((H, (T + _QUERIES - 1) // _QUERIES * _QUERIES, K), np.float32)


@_part
def _copy(x_HTK, factor, filled_HTK):
    """Copy times a factor, as far as both reach in T."""
    for t in range(min(x_HTK.shape[1], filled_HTK.shape[1])):
        for h in range(x_HTK.shape[0]):
            for c in range(x_HTK.shape[2]):
                filled_HTK[h, t, c] = x_HTK[h, t, c] * factor


@_part
def _rows(count, width):
    """Zeros [count, width], width being whole vectors, that begin with a line of the cache."""
    room = np.zeros(count * width + _LINE, np.float32)
    begin = -(room.ctypes.data // 4) % _LINE
    return room[begin : begin + count * width].reshape(count, width)


@_part
def _width(T):
    """Room for the keys of every block."""
    return (T + _QUERIES + _VECTOR - 1) // _VECTOR * _VECTOR


@_part
def _keys(first, width):
    """How many keys are looked at by the block of queries that starts at `first`."""
    return min((first + _QUERIES + _VECTOR - 1) // _VECTOR * _VECTOR, width)


@_part
def _turn(x_TK, x_KT):
    for t in range(x_TK.shape[0]):
        for c in range(x_TK.shape[1]):
            x_KT[c, t] = x_TK[t, c]


@_part
def _turn_back(x_KT, x_TK):
    for t in range(x_TK.shape[0]):
        for c in range(x_TK.shape[1]):
            x_TK[t, c] = x_KT[c, t]


@_part
def _attend(q, k_KT, pattern, total, largest, first, keys):
    """Fill a block's pattern, but for the division by total, and what was subtracted before."""
    _scores(q, k_KT, pattern, keys)
    largest[:] = _ZERO
    if not _exponentials(pattern, total, first, keys):
        _scores(q, k_KT, pattern, keys)
        _subtract_largest(pattern, total, largest, first, keys)
        _exponentials(pattern, total, first, keys)


@_part
def _scores(q_block, k_KT, scores_block, keys):
    """scores = q k for the queries of a block, four queries and four channels at a time."""
    for row in range(0, _QUERIES, 4):
        q, scores = q_block[row : row + 4], scores_block[row : row + 4]
        for m in range(0, q.shape[1], 4):
            a0, a1, a2, a3 = q[0, m], q[0, m + 1], q[0, m + 2], q[0, m + 3]
            b0, b1, b2, b3 = q[1, m], q[1, m + 1], q[1, m + 2], q[1, m + 3]
            c0, c1, c2, c3 = q[2, m], q[2, m + 1], q[2, m + 2], q[2, m + 3]
            d0, d1, d2, d3 = q[3, m], q[3, m + 1], q[3, m + 2], q[3, m + 3]
            kept = _ZERO if m == 0 else _ONE
            for j in range(keys):
                k0, k1, k2, k3 = k_KT[m, j], k_KT[m + 1, j], k_KT[m + 2, j], k_KT[m + 3, j]
                scores[0, j] = scores[0, j] * kept + a0 * k0 + a1 * k1 + a2 * k2 + a3 * k3
                scores[1, j] = scores[1, j] * kept + b0 * k0 + b1 * k1 + b2 * k2 + b3 * k3
                scores[2, j] = scores[2, j] * kept + c0 * k0 + c1 * k1 + c2 * k2 + c3 * k3
                scores[3, j] = scores[3, j] * kept + d0 * k0 + d1 * k1 + d2 * k2 + d3 * k3


@_part
def _mix(pattern, v_KT, z, keys):
    """z = pattern v, four queries and four channels at a time: their sums fit into registers."""
    for row in range(0, _QUERIES, 4):
        for m in range(0, z.shape[1], 4):
            a0 = b0 = c0 = d0 = _ZERO
            a1 = b1 = c1 = d1 = _ZERO
            a2 = b2 = c2 = d2 = _ZERO
            a3 = b3 = c3 = d3 = _ZERO
            for j in range(keys):
                v0, v1, v2, v3 = v_KT[m, j], v_KT[m + 1, j], v_KT[m + 2, j], v_KT[m + 3, j]
                p = pattern[row, j]
                a0 += p * v0
                a1 += p * v1
                a2 += p * v2
                a3 += p * v3
                p = pattern[row + 1, j]
                b0 += p * v0
                b1 += p * v1
                b2 += p * v2
                b3 += p * v3
                p = pattern[row + 2, j]
                c0 += p * v0
                c1 += p * v1
                c2 += p * v2
                c3 += p * v3
                p = pattern[row + 3, j]
                d0 += p * v0
                d1 += p * v1
                d2 += p * v2
                d3 += p * v3
            z[row, m], z[row, m + 1], z[row, m + 2], z[row, m + 3] = a0, a1, a2, a3
            z[row + 1, m], z[row + 1, m + 1], z[row + 1, m + 2], z[row + 1, m + 3] = b0, b1, b2, b3
            z[row + 2, m], z[row + 2, m + 1], z[row + 2, m + 2], z[row + 2, m + 3] = c0, c1, c2, c3
            z[row + 3, m], z[row + 3, m + 1], z[row + 3, m + 2], z[row + 3, m + 3] = d0, d1, d2, d3


@_part
def _spread(weights, rows, sums_KT, keys):
    """sums += rowsᵀ weights over all queries of a block, two channels at a time."""
    for m in range(0, rows.shape[1], 2):
        r0, r1, r2, r3 = rows[0, m], rows[1, m], rows[2, m], rows[3, m]
        r4, r5, r6, r7 = rows[4, m], rows[5, m], rows[6, m], rows[7, m]
        s0, s1, s2, s3 = rows[0, m + 1], rows[1, m + 1], rows[2, m + 1], rows[3, m + 1]
        s4, s5, s6, s7 = rows[4, m + 1], rows[5, m + 1], rows[6, m + 1], rows[7, m + 1]
        for j in range(keys):
            w0, w1, w2, w3 = weights[0, j], weights[1, j], weights[2, j], weights[3, j]
            w4, w5, w6, w7 = weights[4, j], weights[5, j], weights[6, j], weights[7, j]
            low = r0 * w0 + r1 * w1 + r2 * w2 + r3 * w3
            high = r4 * w4 + r5 * w5 + r6 * w6 + r7 * w7
            sums_KT[m, j] += low + high
            low = s0 * w0 + s1 * w1 + s2 * w2 + s3 * w3
            high = s4 * w4 + s5 * w5 + s6 * w6 + s7 * w7
            sums_KT[m + 1, j] += low + high


@_part
def _exponentials(scores, total, first, keys):
    """Scores become their exponentials, 0 for later keys. Also fill the totals; False when
    one of them is out of range."""
    in_range = True
    for row in range(_QUERIES):
        for j in range(first + row + 1, keys):
            scores[row, j] = _LOWEST
        along = _ZERO
        for j in range(keys):
            p = exp(min(scores[row, j], _HIGHEST))
            scores[row, j] = p
            along += p
        total[row] = along
        in_range = in_range and _LEAST_TOTAL < along < _MOST_TOTAL
    return in_range


@_part
def _subtract_largest(scores, total, largest, first, keys):
    """Where the total is out of range, take from a query's scores the largest that it may look at:
    the others come out as they were, whatever stands behind them."""
    for row in range(_QUERIES):
        if not _LEAST_TOTAL < total[row] < _MOST_TOTAL:
            top = scores[row, 0]
            for j in range(min(first + row + 1, keys)):
                top = max(top, scores[row, j])
            for j in range(keys):
                scores[row, j] -= top
            largest[row] = top


@_part
def _softmax_gradient(scores, dpattern, query, keys, log_sum, along):
    """One query's scores become its pattern, the pattern's gradient that of the scores."""
    for j in range(keys):
        p = exp(scores[j] - log_sum)
        scores[j] = p
        dpattern[j] = p * (dpattern[j] - along)
    for j in range(query + 1, keys):
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
