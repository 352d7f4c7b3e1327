"""What tasks are made from: a tokenizer's facts, windows of text, an embedding, parallel text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from induction.behave.task import Prompt
from induction.data.catalogues import Pair


@dataclass(frozen=True)
class Material:
    """All that the tasks of one model are made from; V tokens in the vocabulary.

    encode: text → tokens, without special ones. texts: [V], each token as text by itself.
    start: token that stands before a text, if there is one. drawable: tokens for random sequences.
    windows: [examples, tokens], natural text. embedding: [V, D], of the last snapshot, so that the
    tasks are the same at every snapshot. pairs: phrases with their translations; their absence is
    told by why_no_pairs. n_ctx: tokens that a prompt may have.
    """

    encode: Callable[[str], list[int]]
    texts: list[str]
    start: int | None
    drawable: np.ndarray
    windows: np.ndarray
    embedding: np.ndarray
    pairs: Sequence[Pair]
    why_no_pairs: str
    n_ctx: int

    def prompt(self) -> Prompt:
        """An empty prompt: with the start token, as random sequences are measured with it."""
        return Prompt([] if self.start is None else [self.start])

    @property
    def room(self) -> int:
        """Tokens that fit behind the start token."""
        return self.n_ctx - (self.start is not None)

    @cached_property
    def words(self) -> np.ndarray:
        """The drawable tokens that are letters, with or without a space before them."""
        letters = [t for t in self.drawable if self.texts[t].removeprefix(" ").isalpha()]
        return np.array(letters, dtype=np.int64)


def drawable_tokens(ranked: np.ndarray, quantiles: tuple[float, float]) -> np.ndarray:
    """Tokens without the rarest and the commonest, as in the probes of `measure`.

    ranked: the rarest first, without the start token.
    """
    rare, common = quantiles
    return np.sort(ranked[int(rare * len(ranked)) : int(common * len(ranked))])
