"""What the counts of n-grams alone would predict.

Witten-Bell smoothing (Chen and Goodman 1999, section 2.5): a context that was seen c times, with t
different tokens after it, gives its own counts the weight c / (c + t), and the rest to what the
context without its first token predicts. The shortest context, of no token, is mixed with the
uniform distribution. So no probability is zero, and there is nothing to tune.
"""

import numpy as np

_PART = 1 << 20


def predict(train: np.ndarray, contexts: np.ndarray, d_vocab: int) -> list[np.ndarray]:
    """The probabilities of the next token by unigrams, bigrams and so on up to n-grams.

    train: [tokens], the stream that is counted; it is read a part at a time.
    contexts: [contexts, n - 1], the tokens that stand before the one to predict.
    Returns n arrays, each float32 [contexts, d_vocab].
    """
    found: list[np.ndarray] = []
    shorter = np.full((1, d_vocab), 1 / d_vocab, np.float32)
    for length in range(contexts.shape[1] + 1):
        codes = _codes(contexts[:, contexts.shape[1] - length :], d_vocab)
        distinct, places = np.unique(codes, return_inverse=True)
        counts = _counts_after(train, distinct, length, d_vocab)[places]
        shorter = _mixed(counts, shorter)
        found.append(shorter)
    return found


def _mixed(counts: np.ndarray, shorter: np.ndarray) -> np.ndarray:
    """Counts after each context, [contexts, d_vocab], mixed with what the shorter one predicts."""
    types = (counts > 0).sum(axis=1, keepdims=True)
    seen = counts.sum(axis=1, keepdims=True)
    # A context that was never seen says nothing of its own.
    mixed = (counts + types * shorter) / np.maximum(seen + types, 1)
    return np.where(seen > 0, mixed, shorter).astype(np.float32)


def _counts_after(train: np.ndarray, codes: np.ndarray, length: int, d_vocab: int) -> np.ndarray:
    """How often each token follows each context of some length: int64 [contexts, d_vocab].

    codes: [contexts], of the contexts, ascending.
    """
    counts = np.zeros(len(codes) * d_vocab, dtype=np.int64)
    for first in range(length, len(train), _PART):
        # With the tokens before the part, so that its first tokens have a context too.
        part = np.asarray(train[first - length : first + _PART])
        windows = np.lib.stride_tricks.sliding_window_view(part, length + 1)
        own = _codes(windows[:, :length], d_vocab)
        place = np.minimum(np.searchsorted(codes, own), len(codes) - 1)
        known = codes[place] == own
        index = place[known] * d_vocab + windows[known, length]
        counts += np.bincount(index, minlength=len(counts))
    return counts.reshape(len(codes), d_vocab)


def _codes(contexts: np.ndarray, d_vocab: int) -> np.ndarray:
    """One number for each context: [contexts, n - 1] of tokens → int64 [contexts]."""
    places = d_vocab ** np.arange(contexts.shape[1], dtype=np.int64)
    return (contexts * places).sum(axis=1, dtype=np.int64)
