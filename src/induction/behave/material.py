"""What tasks are made from: a tokenizer's facts, windows of text, an embedding, parallel text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from induction.behave.task import Prompt
from induction.config import StudyConfig
from induction.data.catalogues import Pair
from induction.data.tokenizer import load_tokenizer
from induction.data.tokens import START_TOKEN, load_meta, load_tokens, token_counts
from induction.evaluation.evaluation_set import EvaluationSet
from induction.model.weights import Snapshot, load_snapshot
from induction.paths import StudyPaths


@dataclass(frozen=True)
class Material:
    """All that the tasks of one model are made from; V tokens in the vocabulary.

    encode: text → tokens, without special ones. texts: [V], each token as text by itself.
    start: token that stands before a text, if there is one. drawable: tokens for random sequences.
    windows: [examples, tokens], natural text. embedding: gives [V, D] of the last snapshot, so that
    the tasks are the same at every snapshot; called when it is needed, for it loads that snapshot.
    n_ctx: tokens that a prompt may have. pairs: phrases with their translations; their absence is
    told by why_no_pairs.
    """

    encode: Callable[[str], list[int]]
    texts: list[str]
    start: int | None
    drawable: np.ndarray
    windows: np.ndarray
    embedding: Callable[[], np.ndarray]
    n_ctx: int
    pairs: Sequence[Pair] = ()
    why_no_pairs: str = "no parallel text was read"

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


def our_material(
    paths: StudyPaths, config: StudyConfig, evaluation: EvaluationSet, last: Snapshot
) -> Material:
    """What the tasks of a model of the study are made from, less parallel text. last: its last
    snapshot."""
    tokenizer = load_tokenizer(paths.tokens)
    counts = token_counts(load_tokens(paths.tokens, "train"), load_meta(paths.tokens).d_vocab)
    ranked = np.argsort(counts, kind="stable")
    return Material(
        encode=lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
        texts=[tokenizer.decode([token]) for token in range(len(counts))],
        start=START_TOKEN,
        drawable=drawable_tokens(
            ranked[ranked != START_TOKEN], config.evaluation.probe_vocab_quantiles
        ),
        windows=evaluation.tokens.numpy(),
        embedding=lambda: load_snapshot(last.path).W_E.numpy(),
        n_ctx=config.model.n_ctx,
    )


def drawable_tokens(ranked: np.ndarray, quantiles: tuple[float, float]) -> np.ndarray:
    """Tokens without the rarest and the commonest, as in the probes of `measure`.

    ranked: the rarest first, without the start token.
    """
    rare, common = quantiles
    return np.sort(ranked[int(rare * len(ranked)) : int(common * len(ranked))])
