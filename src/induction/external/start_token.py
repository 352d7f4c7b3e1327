"""The token that stands in front of every text that a model reads, and why it is that one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from induction.errors import StudyError
from induction.external.configuration import read_values
from induction.external.reading import StartToken


def find_start_token(path: Path, config: Any, wanted: str | None) -> StartToken:
    """That of the key `start_token`; else what the tokenizer puts in front of a text itself.

    A tokenizer that adds none says or leaves open which one it would be: then counts `bos_token` of
    the tokenizer_config.json beside it, `bos_token_id` or `eos_token_id` of the model's
    configuration if that is no ordinary token, and a tokenizer's only special token, in this order.

    path: of a whole tokenizer.json. Raises StudyError when there is none.
    """
    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_padding()  # the file may keep a setting that puts padding in front
    tokenizer.no_truncation()
    special = {
        token: added.content
        for token, added in sorted(tokenizer.get_added_tokens_decoder().items())
        if added.special
    }
    listed = f"its special tokens: {', '.join(list(special.values())[:20]) or 'none'}"
    if wanted is not None:
        if (token := tokenizer.token_to_id(wanted)) is None:
            raise StudyError(f"start_token: {wanted}: no token of {path}: {listed}")
        return StartToken(token, wanted, "set by the key start_token")
    for token, why in _candidates(tokenizer, path, config, special):
        return StartToken(token, tokenizer.id_to_token(token) or str(token), why)
    raise StudyError(f"{path}: which token starts a text? Name it in the key start_token: {listed}")


def _candidates(
    tokenizer: Tokenizer, path: Path, config: Any, special: dict[int, str]
) -> Iterator[tuple[int, str]]:
    whole, bare = (tokenizer.encode("a", add_special_tokens=add).ids for add in (True, False))
    if whole[: len(bare)] != bare:
        yield whole[0], "its tokenizer puts it in front"
    beside = path.with_name("tokenizer_config.json")
    stated = (read_values(beside) if beside.is_file() else {}).get("bos_token")
    text = stated.get("content") if isinstance(stated, dict) else stated
    if isinstance(text, str) and (token := tokenizer.token_to_id(text)) is not None:
        yield token, "bos_token of tokenizer_config.json; its tokenizer adds none itself"
    for key in ("bos_token_id", "eos_token_id"):
        token = getattr(config, key, None)
        token = token[0] if isinstance(token, list) and token else token
        if isinstance(token, int) and token >= 0 and (token in special or not special):
            yield token, f"{key} of config.json; its tokenizer adds none itself"
    if len(special) == 1:
        yield (
            next(iter(special)),
            "the only special token of its tokenizer, which adds none itself",
        )
