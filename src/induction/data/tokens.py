"""The reading side of data/tokens: token streams, what is known of them, training windows."""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from induction.errors import StudyError
from induction.files import read_record

START_TOKEN = 0
"""Id of the token that stands before every document."""

_PART = 1 << 20

Split = Literal["train", "valid"]
Count = Annotated[int, Field(ge=0, le=1 << 53)]


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SourceMeta(_Frozen):
    """One wheel or own file below data/raw: its digest, and what of it was kept."""

    name: str
    sha256: str
    documents: Count
    characters: Count


class TokensMeta(_Frozen):
    """What meta.json says about the corpus. Token counts include one start token a document."""

    d_vocab: Annotated[int, Field(ge=1, le=1 << 16)]
    start_token: Literal[0]  # START_TOKEN
    characters_per_token: Annotated[float, Field(gt=0)]  # over training and validation
    train_documents: Count
    train_characters: Count
    train_tokens: Count
    valid_documents: Count
    valid_characters: Count
    valid_tokens: Count
    dropped: dict[str, Count]  # documents by reason, see induction.data.documents
    sources: tuple[SourceMeta, ...]


def load_meta(folder: Path) -> TokensMeta:
    """Read meta.json of a folder of tokens. Raises StudyError when it is missing or damaged."""
    return read_record(folder / "meta.json", TokensMeta)


def load_tokens(folder: Path, split: Split) -> np.memmap:
    """The token stream of a split, uint16 [tokens], mapped from disk and read-only.

    Raises StudyError when the file is missing, empty, of another size than meta.json says, or holds
    a token that is not in the vocabulary.
    """
    meta = load_meta(folder)
    expected = meta.train_tokens if split == "train" else meta.valid_tokens
    path = folder / f"{split}.bin"
    if not path.is_file():
        raise StudyError(f"{path}: missing: `make study` makes it")
    size = path.stat().st_size
    if size == 0 or size != 2 * expected:
        raise StudyError(
            f"{path}: damaged: {size} bytes, expected {2 * expected}: delete {folder} and run "
            "`make study`"
        )
    tokens = np.memmap(path, dtype="<u2", mode="r")
    if (largest := int(tokens.max())) >= meta.d_vocab:
        raise StudyError(
            f"{path}: damaged: token {largest} in a vocabulary of {meta.d_vocab}: delete {folder} "
            "and run `make study`"
        )
    return tokens


def document_starts(tokens: np.ndarray) -> np.ndarray:
    """Positions of the documents' start tokens in a stream [tokens], ascending, int64."""
    return np.flatnonzero(tokens == START_TOKEN).astype(np.int64)


def token_counts(tokens: np.ndarray, d_vocab: int) -> np.ndarray:
    """How often each token stands in a stream: int64 [d_vocab]. Reads a part at a time."""
    counts = np.zeros(d_vocab, dtype=np.int64)
    for first in range(0, len(tokens), _PART):
        counts += np.bincount(tokens[first : first + _PART], minlength=d_vocab)
    return counts


def training_windows(
    train: np.ndarray, n_ctx: int, seed: int | tuple[int, int], *, reverse: bool = False
) -> np.ndarray:
    """Offsets into a stream of all windows of n_ctx + 1 tokens, in a seeded random order.

    int64 [windows]. Neighbours share one token, the last target of one and the first input of the
    next; so each token is predicted at most once. The order depends on the stream's length, n_ctx,
    seed and reverse alone: models that share these see the same data in the same order.
    Raises StudyError when the stream is shorter than a window.
    """
    n_windows = (len(train) - 1) // n_ctx
    if n_windows < 1:
        raise StudyError(
            f"model.n_ctx: {n_ctx}: the training text has only {len(train)} tokens: add text, or "
            "lower it"
        )
    starts = np.random.default_rng(seed).permutation(n_windows).astype(np.int64) * n_ctx
    return starts[::-1].copy() if reverse else starts
