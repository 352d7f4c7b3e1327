"""Lines of words with a label, `tiger: animal`, as patterns and few-shot prompts have them.

Each part is encoded by itself, so that it is known which tokens are whose. A label is asked for by
the first token that tells the labels of a prompt apart: at the colon, or behind what all labels
begin with, such as a space where that is a token of its own.
"""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import NamedTuple

import numpy as np

from induction.behave.material import Material


class Label(NamedTuple):
    """shared: the tokens that all labels of a prompt begin with. own: the rest."""

    shared: list[int]
    own: list[int]


class Lines:
    """The encoded parts of lines."""

    def __init__(self, material: Material) -> None:
        self._encode = material.encode
        self.colon, self.end = material.encode(":"), material.encode("\n")

    def words(self, words: Sequence[str]) -> list[int]:
        """The tokens before the label: the first word without a space before it."""
        spaced = (word if k == 0 else f" {word}" for k, word in enumerate(words))
        return [token for word in spaced for token in self._encode(word)] + self.colon

    def labels(self, labels: Sequence[str]) -> list[Label] | None:
        """The labels, if they are told apart by one token."""
        encoded = [self._encode(f" {label}") for label in labels]
        shared = shared_start(encoded)
        if len({tuple(tokens[shared : shared + 1]) for tokens in encoded} - {()}) < len(labels):
            return None
        return [Label(tokens[:shared], tokens[shared:]) for tokens in encoded]

    def longest(self, words: Sequence[str], labels: Sequence[Label]) -> int:
        """Tokens of the longest line of one word and a label."""
        word = max(len(self.words([word])) for word in words)
        return word + max(len(label.shared + label.own) for label in labels) + len(self.end)


def shared_start(encoded: Sequence[Sequence[int]]) -> int:
    """How many tokens all of them begin with."""
    alike = takewhile(lambda column: len(set(column)) == 1, zip(*encoded, strict=False))
    return len(list(alike))


def endless(words: Sequence[str], random: np.random.Generator) -> Iterator[str]:
    """The words in random order, again and again: none twice before all were there."""
    while True:
        for k in random.permutation(len(words)):
            yield words[int(k)]
