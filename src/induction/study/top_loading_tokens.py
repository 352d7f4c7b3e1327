"""The tokens that weigh most on the components of the per-token losses, in their text."""

import numpy as np
import polars as pl
from tokenizers import Tokenizer


def top_loading_tokens(
    components: np.ndarray,
    tokens: np.ndarray,
    kept: np.ndarray,
    tokenizer: Tokenizer,
    count: int,
    context: int,
) -> pl.DataFrame:
    """The `count` entries of largest absolute weight on each component, heaviest first.

    components: [components, examples × kept]. tokens: [examples, n_ctx + 1]. kept: [examples,
    kept], the indices whose losses make the per-token vector, row after row.

    Columns: component and rank (from 1), weight (signed), example, index (in context, from 0),
    token (the text of the token that is predicted at that index, the one after it), context (the
    text of up to `context` tokens before that token). Text is what the tokens decode to, any
    characters, the start token included; bytes that are no whole character show as U+FFFD.
    """
    rows = []
    for component, weights in enumerate(components, start=1):
        heaviest = np.argsort(-np.abs(weights), kind="stable")[:count]
        for rank, entry in enumerate(heaviest, start=1):
            example, index = int(entry) // kept.shape[1], int(kept.flat[entry])
            before = tokens[example, max(0, index + 1 - context) : index + 1]
            rows.append(
                {
                    "component": component,
                    "rank": rank,
                    "weight": float(weights[entry]),
                    "example": example,
                    "index": index,
                    "token": _text(tokenizer, tokens[example, index + 1 : index + 2]),
                    "context": _text(tokenizer, before),
                }
            )
    return pl.DataFrame(rows)


def _text(tokenizer: Tokenizer, ids: np.ndarray) -> str:
    return tokenizer.decode(ids.tolist(), skip_special_tokens=False)
