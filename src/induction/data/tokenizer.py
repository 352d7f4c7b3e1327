"""The tokenizer of the study: byte-level BPE, so that every text can be written and read back."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from induction.data.tokens import START_TOKEN, load_meta
from induction.errors import StudyError

START_TEXT = "<|start|>"

_TEXTS_PER_CALL = 64  # bounds the memory of encoding
_LEARN_FROM = 500_000_000  # characters: bounds the memory of learning; more would change few merges


def train_tokenizer(texts: Iterable[str], d_vocab: int) -> Tokenizer:
    """Learn `d_vocab` entries: the start token (id 0), the 256 bytes, and merges.

    From the first 500 million characters, if there are more.

    The result depends on the texts and `d_vocab` alone, not on the number of threads.
    Raises StudyError when the texts hold too few repetitions for so many entries.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=d_vocab,
        special_tokens=[START_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_first(texts, _LEARN_FROM), trainer)
    if (size := tokenizer.get_vocab_size()) < d_vocab:
        raise StudyError(
            f"tokenizer.d_vocab: {d_vocab}: the training text is too small for more than {size} "
            "entries: add text, or lower it"
        )
    return _as_plain_text(tokenizer)


def load_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a folder of tokens.

    Raises StudyError when it is missing, damaged, or of another size than meta.json says.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise StudyError(f"{path}: missing: `make study` makes it")
    try:
        tokenizer = _as_plain_text(Tokenizer.from_file(str(path)))
    except Exception as error:  # tokenizers raises nothing narrower
        raise StudyError(f"{path}: damaged: {error}: delete {folder}, run `make study`") from None
    if (size := tokenizer.get_vocab_size()) != (d_vocab := load_meta(folder).d_vocab):
        raise StudyError(
            f"{path}: damaged: {size} entries, expected {d_vocab}: delete {folder}, run "
            "`make study`"
        )
    return tokenizer


def encode_documents(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[np.ndarray]:
    """Each text as uint16 token ids [n], the start token first."""
    left = iter(texts)
    while some := list(islice(left, _TEXTS_PER_CALL)):
        for encoding in tokenizer.encode_batch_fast(some):
            yield np.array([START_TOKEN, *encoding.ids], dtype="<u2")


def _first(texts: Iterable[str], characters: int) -> Iterator[str]:
    """Texts until they are so long together."""
    for text in texts:
        yield text
        characters -= len(text)
        if characters <= 0:
            return


def _as_plain_text(tokenizer: Tokenizer) -> Tokenizer:
    """Have "<|start|>" inside a text encoded as its characters, so that only we write the token."""
    tokenizer.encode_special_tokens = True
    return tokenizer
