"""What every snapshot of every model is measured on: fixed validation text and fixed probes."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from induction.config import Evaluation as Settings
from induction.data.copyable import copyable
from induction.data.tokenizer import characters_begun, load_tokenizer
from induction.data.tokens import document_starts, load_meta, load_tokens, token_counts
from induction.errors import StudyError
from induction.evaluation.grid import Grid
from induction.evaluation.probes import Probes, make_probes
from induction.files import verify_folder

_PART = 64  # examples looked at together


@dataclass(frozen=True)
class EvaluationSet:
    """The evaluation set (paper, "Model details" and "Head activation evaluators").

    tokens: [examples, n_ctx + 1], windows of validation text, each inside one document.
    kept: [examples, tokens_per_example], the indices whose losses make the per-token vector.
    early, late: first and last index of the two windows of the ICL score, inclusive.
    pattern_examples: on how many of the examples attention patterns are looked at.
    probes: repeated random tokens.
    characters_per_token: of the tokens that are predicted, on average.
    grid: for a model that reads the text in tokens of its own: `tokens` are these, of any number,
    and all indices are those of the study's tokens. None for the study's own models.
    """

    tokens: Tensor
    kept: np.ndarray
    early: tuple[int, int]
    late: tuple[int, int]
    pattern_examples: int
    probes: Probes
    characters_per_token: float = 1.0
    grid: Grid | None = None

    @cached_property
    def copyable(self) -> np.ndarray:
        """Whether the context lets one copy each target, bool [examples, n_ctx]."""
        return np.concatenate([copyable(part).numpy() for part in self.tokens.split(_PART)])

    def at_tokens(self, losses: np.ndarray, first: int = 0) -> np.ndarray:
        """Losses of what a model read as losses of the study's tokens, [B, n_ctx], in nats.

        losses: [B, tokens read − 1], of the examples first … first + B.
        """
        return losses if self.grid is None else self.grid.collect(losses, first)

    def first(self, count: int) -> "EvaluationSet":
        """The evaluation set cut down to its first examples; the probes stay."""
        grid = None if self.grid is None else self.grid.first(count)
        return replace(self, tokens=self.tokens[:count], kept=self.kept[:count], grid=grid)


def load_evaluation(folder: Path, n_ctx: int, settings: Settings) -> EvaluationSet:
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
        characters_begun(load_tokenizer(folder)),
    )


def make_evaluation(
    valid_tokens: np.ndarray,
    token_counts: np.ndarray,
    start_token: int,
    n_ctx: int,
    settings: Settings,
    characters: np.ndarray | None = None,
) -> EvaluationSet:
    """Draw the evaluation set; the same arguments give the same set.

    valid_tokens: [tokens], uint16, documents behind each other, each with its start token.
    token_counts: [d_vocab], how often each token stands in the training text.
    characters: [d_vocab], how many each token holds; without it, each counts as one.
    Raises StudyError when no validation document is longer than a context.
    """
    random = np.random.default_rng(settings.seed)
    starts, kept = draw_examples(valid_tokens, n_ctx, settings, random)
    examples = valid_tokens[starts[:, None] + np.arange(n_ctx + 1)].astype(np.int64)
    probes = make_probes(token_counts, start_token, settings, random)
    return EvaluationSet(
        tokens=torch.from_numpy(examples),
        kept=kept,
        early=settings.early,
        late=settings.late,
        pattern_examples=settings.pattern_examples,
        probes=probes,
        characters_per_token=1.0
        if characters is None
        else float(characters[examples[:, 1:]].mean()),
    )


def draw_examples(
    valid_tokens: np.ndarray, n_ctx: int, settings: Settings, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Where the examples start in the validation text, [examples], and their kept indices.

    Raises StudyError when no validation document is longer than a context.
    """
    starts = _windows(valid_tokens, n_ctx, settings.examples, random)
    kept = np.stack(
        [
            np.sort(random.choice(n_ctx, settings.tokens_per_example, replace=False))
            for _ in range(settings.examples)
        ]
    )
    return starts, kept


def _windows(
    tokens: np.ndarray, n_ctx: int, examples: int, random: np.random.Generator
) -> np.ndarray:
    """Starts of random windows of n_ctx + 1 tokens, spread over as many documents as there are."""
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
    return starts[chosen] + random.integers(1, lengths[chosen] - n_ctx)
