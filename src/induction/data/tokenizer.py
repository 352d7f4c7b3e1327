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


def token_bytes(tokenizer: Tokenizer) -> list[bytes]:
    """The bytes that each token of the study's tokenizer stands for; none for the start token."""
    byte_of = _bytes_of_letters()
    texts = (tokenizer.id_to_token(token) or "" for token in range(tokenizer.get_vocab_size()))
    return [
        b"" if text == START_TEXT else bytes(byte_of[letter] for letter in text) for text in texts
    ]


def characters_begun(tokenizer: Tokenizer) -> np.ndarray:
    """How many characters begin in each token, [d_vocab]: one may end in a later token."""
    return np.array([begun(token).sum() for token in token_bytes(tokenizer)])


def begun(text: bytes) -> np.ndarray:
    """Whether a character of UTF-8 text begins at each byte, [bytes]."""
    return np.frombuffer(text, np.uint8) & 0b1100_0000 != 0b1000_0000


def _bytes_of_letters() -> dict[str, int]:
    """The letter that stands for each byte in the entries of byte-level BPE (Radford et al. 2019).

    Bytes that are printable letters of Latin-1 stand for themselves, the others for those letters
    that come first after all bytes.
    """
    alphabet = set(pre_tokenizers.ByteLevel.alphabet())
    hidden = [byte for byte in range(256) if chr(byte) not in alphabet]
    shown = {chr(byte): byte for byte in range(256) if chr(byte) in alphabet}
    return shown | {chr(256 + rank): byte for rank, byte in enumerate(hidden)}


def _as_plain_text(tokenizer: Tokenizer) -> Tokenizer:
    """Have "<|start|>" inside a text encoded as its characters, so that only we write the token."""
    tokenizer.encode_special_tokens = True
    return tokenizer
