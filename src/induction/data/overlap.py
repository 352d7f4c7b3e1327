"""How much of the validation text also stands in the training text, word for word.

Exact duplicates of whole documents are dropped. Copies that begin or end elsewhere, or stand inside
another file, are not; models then know their validation text by heart.
"""

import numpy as np

STRETCH = 64  # a power of two
"""Tokens that must agree: longer than what texts share by chance, shorter than a paragraph."""
_CHUNK = 2**22
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that it has an inverse modulo 2^64


def known_share(train: np.ndarray, valid: np.ndarray) -> float:
    """The share of stretches of validation tokens that stand in the training tokens, at any place.

    train, valid: [tokens]. Stretches do not overlap. 0 where validation is shorter than one.
    """
    count = len(valid) // STRETCH
    if not count:
        return 0.0
    asked = _hashes(valid)[::STRETCH][:count]
    wanted = np.unique(asked)
    found = np.zeros(len(wanted), dtype=bool)
    for begin in range(0, len(train), _CHUNK):
        hashes = _hashes(train[begin : begin + _CHUNK + STRETCH - 1])
        places = np.searchsorted(wanted, hashes)
        places[places == len(wanted)] = 0
        found[places[wanted[places] == hashes]] = True
    return float(found[np.searchsorted(wanted, asked)].mean())


def _hashes(tokens: np.ndarray) -> np.ndarray:
    """A number for each stretch of tokens, by its place of beginning; equal stretches have equal
    numbers."""
    found, length, power = tokens.astype(np.uint64) + np.uint64(1), 1, _BASE
    with np.errstate(over="ignore"):
        while length < STRETCH:  # two stretches make one of twice the length
            found = found[:-length] + power * found[length:]
            length, power = 2 * length, power * power
    return found
