"""Which passages of validation text the explorer shows, chosen by their text alone.

The rule: take the stretch of `length` tokens in the middle of every validation document that is
long enough, and order the stretches by how many pairs of neighbouring tokens in them have stood in
them before, which is what an induction head can use. Cut this order into as many equal parts as
passages are wanted; the middle one of each part is shown. So they come from different documents,
from few repeats to many, and no model has a say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from tokenizers import Tokenizer

from induction.data.tokens import document_starts
from induction.errors import StudyError


@dataclass(frozen=True)
class Passage:
    """A stretch of validation text.

    ids: [length], token ids. texts: what each token decodes to, any characters; bytes that are no
    whole character show as U+FFFD. repeats: positions whose pair with the token before them has
    stood in the passage before.
    """

    ids: tuple[int, ...]
    texts: tuple[str, ...]
    repeats: int


def choose_passages(
    tokens: np.ndarray, tokenizer: Tokenizer, count: int, length: int
) -> list[Passage]:
    """Apply the rule to a stream of validation tokens [tokens], documents behind each other.

    Returns `count` passages, fewest repeats first. Raises StudyError when fewer documents are
    longer than `length` tokens.
    """
    starts = document_starts(tokens)
    ends = np.append(starts[1:], len(tokens))
    middles = [
        # The start token is left out: it is no text.
        tokens[first : first + length].astype(int).tolist()
        for start, end in zip(starts + 1, ends, strict=True)
        if end - start >= length
        for first in [int(start) + int(end - start - length) // 2]
    ]
    if len(middles) < count:
        raise StudyError(
            f"explorer.tokens: only {len(middles)} validation documents hold {length} tokens, "
            f"explorer.passages: {count} wanted: lower one of them"
        )
    repeats = [repeated_pairs(ids) for ids in middles]
    order = np.argsort(repeats, kind="stable")
    chosen = [int(order[(2 * part + 1) * len(order) // (2 * count)]) for part in range(count)]
    return [
        Passage(
            ids=tuple(middles[k]),
            texts=tuple(tokenizer.decode([i], skip_special_tokens=False) for i in middles[k]),
            repeats=repeats[k],
        )
        for k in chosen
    ]


def repeated_pairs(ids: Sequence[int]) -> int:
    """How many pairs of neighbouring tokens have stood in the sequence before."""
    return len(ids) - 1 - len(set(pairwise(ids)))
