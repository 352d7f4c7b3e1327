"""What every snapshot of every model is measured on: fixed validation text and fixed probes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from induction.config import Evaluation as Settings
from induction.data.tokens import document_starts, load_meta, load_tokens, token_counts
from induction.errors import StudyError
from induction.files import verify_folder


@dataclass(frozen=True)
class Evaluation:
    """The evaluation set (paper, "Model details" and "Head activation evaluators").

    tokens: [examples, n_ctx + 1], windows of validation text, each inside one document.
    kept: [examples, tokens_per_example], the indices whose losses make the per-token vector.
    early, late: first and last index of the two windows of the ICL score, inclusive.
    pattern_examples: on how many of the examples attention patterns are looked at.
    probes: repeated random tokens.
    """

    tokens: Tensor
    kept: np.ndarray
    early: tuple[int, int]
    late: tuple[int, int]
    pattern_examples: int
    probes: "Probes"


@dataclass(frozen=True)
class Probes:
    """Sequences of random tokens, each a segment of its own length repeated after a start token.

    tokens: [sequences, 1 + repeats × longest period]; shorter sequences are padded at the end.
    periods: [sequences], length of the repeated segment. It varies, since a fixed one could be
    solved by position alone.
    repeats: how often each segment stands in its sequence.
    """

    tokens: Tensor
    periods: np.ndarray
    repeats: int


def load_evaluation(folder: Path, n_ctx: int, settings: Settings) -> Evaluation:
    """The evaluation set of a folder of tokens, which is verified first.

    Raises StudyError as `verify_folder` and `make_evaluation` do.
    """
    verify_folder(folder)
    meta = load_meta(folder)
    return make_evaluation(
        load_tokens(folder, "valid"),
        token_counts(load_tokens(folder, "train"), meta.d_vocab),
        meta.start_token,
        n_ctx,
        settings,
    )


def make_evaluation(
    valid_tokens: np.ndarray,
    token_counts: np.ndarray,
    start_token: int,
    n_ctx: int,
    settings: Settings,
) -> Evaluation:
    """Draw the evaluation set; the same arguments give the same set.

    valid_tokens: [tokens], uint16, documents behind each other, each with its start token.
    token_counts: [d_vocab], how often each token stands in the training text.
    Raises StudyError when no validation document is longer than a context.
    """
    random = np.random.default_rng(settings.seed)
    examples = _windows(valid_tokens, n_ctx, settings.examples, random)
    kept = np.stack(
        [
            np.sort(random.choice(n_ctx, settings.tokens_per_example, replace=False))
            for _ in range(settings.examples)
        ]
    )
    probes = make_probes(token_counts, start_token, settings, random)
    return Evaluation(
        tokens=torch.from_numpy(examples),
        kept=kept,
        early=settings.early,
        late=settings.late,
        pattern_examples=settings.pattern_examples,
        probes=probes,
    )


def _windows(
    tokens: np.ndarray, n_ctx: int, examples: int, random: np.random.Generator
) -> np.ndarray:
    """Random windows [examples, n_ctx + 1], spread over as many documents as there are."""
    starts = document_starts(tokens)
    lengths = np.diff(np.append(starts, len(tokens)))
    # The start token itself is left out, as most training windows do not hold one either.
    usable = np.flatnonzero(lengths > n_ctx + 1)
    if not len(usable):
        raise StudyError(
            f"model.n_ctx: {n_ctx} is longer than every validation document: "
            "shorten the context or add longer documents"
        )
    rounds = -(-examples // len(usable))
    chosen = np.concatenate([random.permutation(usable) for _ in range(rounds)])[:examples]
    offsets = random.integers(1, lengths[chosen] - n_ctx)
    span = np.arange(n_ctx + 1)
    return tokens[(starts[chosen] + offsets)[:, None] + span].astype(np.int64)


def make_probes(
    token_counts: np.ndarray, start_token: int, settings: Settings, random: np.random.Generator
) -> Probes:
    """Random sequences, without the rarest and the commonest tokens (paper's head evaluators).

    Raises StudyError when too few tokens are left for the longest segment.
    """
    ranked = np.argsort(token_counts, kind="stable")
    ranked = ranked[ranked != start_token]
    rare, common = settings.probe_vocab_quantiles
    drawable = ranked[int(rare * len(ranked)) : int(common * len(ranked))]
    shortest, longest = settings.probe_period
    if len(drawable) < longest:
        raise StudyError(
            f"evaluation.probe_vocab_quantiles: leaves {len(drawable)} tokens to draw from, fewer "
            f"than the {longest} of evaluation.probe_period: widen them"
        )
    periods = random.integers(shortest, longest, size=settings.probe_sequences, endpoint=True)
    repeats = settings.probe_repeats
    tokens = np.full((len(periods), 1 + repeats * longest), start_token, dtype=np.int64)
    for row, period in zip(tokens, periods, strict=True):
        # Without replacement: each token of a segment has one match in each other repeat.
        segment = random.choice(drawable, period, replace=False)
        row[1 : 1 + repeats * period] = np.tile(segment, repeats)
    return Probes(torch.from_numpy(tokens), periods, repeats)
