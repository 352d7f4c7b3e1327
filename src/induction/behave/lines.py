"""Lines of words with a label, `tiger: animal`, as patterns and few-shot prompts have them.

Each part is encoded by itself, so that it is known which tokens are whose. A label is asked for by
its first token, which tells the labels of a prompt apart; the question stands at the colon.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from induction.behave.material import Material


class Lines:
    """The encoded parts of lines."""

    def __init__(self, material: Material) -> None:
        self._encode = material.encode
        self.colon, self.end = material.encode(":"), material.encode("\n")

    def words(self, words: Sequence[str]) -> list[int]:
        """The tokens before the label: the first word without a space before it."""
        spaced = (word if k == 0 else f" {word}" for k, word in enumerate(words))
        return [token for word in spaced for token in self._encode(word)] + self.colon

    def label(self, label: str) -> list[int]:
        return self._encode(f" {label}")

    def longest(self, words: Sequence[str], labels: Sequence[str]) -> int:
        """Tokens of the longest line of one word and a label."""
        word = max(len(self.words([word])) for word in words)
        return word + max(len(self.label(label)) for label in labels) + len(self.end)

    def told_apart(self, labels: Sequence[str]) -> bool:
        """Whether the labels differ in their first tokens."""
        return len({self.label(label)[0] for label in labels}) == len(labels)


def endless(words: Sequence[str], random: np.random.Generator) -> Iterator[str]:
    """The words in random order, again and again: none twice before all were there."""
    while True:
        for k in random.permutation(len(words)):
            yield words[int(k)]
