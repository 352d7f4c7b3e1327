"""The study's evaluation set for a model with a tokenizer of its own: the same windows of text,
read in its tokens, with losses handed back on the study's."""

from pathlib import Path

import numpy as np
import torch
from tokenizers import Encoding, Tokenizer, processors

from induction.config import Evaluation as Settings
from induction.data.tokenizer import begun, characters_begun, load_tokenizer, token_bytes
from induction.data.tokens import START_TOKEN, document_starts, load_tokens
from induction.errors import StudyError
from induction.evaluation.evaluation_set import EvaluationSet, draw_examples
from induction.evaluation.grid import Grid
from induction.evaluation.probes import Probes, make_probes
from induction.files import verify_folder

_MOST_UNKNOWN = 0.1  # share of the characters that no token stands for
_LONGEST_CHARACTER = 4  # bytes of UTF-8
_BEFORE = "\n"  # a text that others can stand behind: words are not joined to it


def load_own_tokenizer(path: Path) -> Tokenizer:
    """A model's tokenizer.json, set to read all text as plain text and to add nothing.

    Raises StudyError when it is damaged.
    """
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises nothing narrower
        raise StudyError(f"{path}: not a tokenizer: {error}") from None
    # Takes the place of what would add tokens, and leaves the ends of tokens where they are.
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)  # pyright: ignore[reportAttributeAccessIssue]
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def encode_within(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of a text that stands behind other text: without what is put before all text.

    Tokenizers like Llama 2's put a mark for a space there.
    """
    before, whole = (_ids(tokenizer, part) for part in (_BEFORE, _BEFORE + text))
    if whole[: len(before)] != before:  # the two are joined into one token, so there is no mark
        return _ids(tokenizer, text)
    return whole[len(before) :]


def token_texts(tokenizer: Tokenizer) -> list[str]:
    """Each token as it reads behind other text, by id: where a text begins, some lose a space.

    Ids that stand for no token read as nothing.
    """
    before = _ids(tokenizer, _BEFORE)
    length = len(tokenizer.decode(before))
    return [tokenizer.decode([*before, token])[length:] for token in range(_ids_of(tokenizer))]


def _ids(tokenizer: Tokenizer, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False).ids


def _ids_of(tokenizer: Tokenizer) -> int:
    """One more than the largest id: between ids there may be gaps."""
    return 1 + max(tokenizer.get_vocab().values())


def external_evaluation(
    folder: Path,
    tokenizer: Tokenizer,
    start_token: int,
    longest: int,
    n_ctx: int,
    settings: Settings,
) -> EvaluationSet:
    """The evaluation set of a folder of tokens, which is verified first, for another tokenizer.

    Each example is the start token, then the text of the window; what is left of the longest
    example's length goes on with the texts of the next ones, whose losses do not count. The probes
    are of the model's tokens that stand in the validation text.

    longest: how many tokens the model can read at once. Raises StudyError as `verify_folder` and
    `draw_examples` do, and when an example is too long or too few tokens stand in the text.
    """
    verify_folder(folder)
    valid, study = load_tokens(folder, "valid"), load_tokenizer(folder)
    pieces = token_bytes(study)
    random = np.random.default_rng(settings.seed)
    starts, kept = draw_examples(valid, n_ctx, settings, random)
    texts, begins, edges = [], [], []
    for start in starts.tolist():
        begin, text = _text_of(valid, pieces, start, start + n_ctx + 1)
        texts.append(text)
        begins.append(begin)
        edges.append(np.cumsum([len(pieces[t]) for t in valid[start : start + n_ctx + 1]]))
    encoded = _encoded(tokenizer, texts)
    ends = [_ends(*each) for each in zip(encoded, texts, begins, strict=True)]
    grid = Grid(tuple(begins), tuple(ends), np.stack(edges))
    tokens = _filled([np.array(each.ids) for each in encoded], start_token)
    read = max(tokens.shape[1] - 1, 1 + settings.probe_repeats * settings.probe_period[1])
    if read > longest:
        raise StudyError(
            f"a window of model.n_ctx: {n_ctx} tokens of the study, or a probe, is {read} tokens "
            f"of this model, which reads at most {longest}: shorten model.n_ctx"
        )
    counts = _token_counts(valid, pieces, tokenizer)
    counts[start_token : start_token + 1] = 0
    scored = valid[starts[:, None] + np.arange(1, n_ctx + 1)]
    return EvaluationSet(
        tokens=torch.from_numpy(tokens),
        kept=kept,
        early=settings.early,
        late=settings.late,
        pattern_examples=settings.pattern_examples,
        probes=_probes(counts, start_token, settings, random),
        characters_per_token=float(characters_begun(study)[scored].mean()),
        grid=grid,
    )


def _encoded(tokenizer: Tokenizer, texts: list[str]) -> list[Encoding]:
    """All texts in the model's tokens. StudyError when too much of them cannot be written so."""
    try:
        encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
    except Exception as error:  # tokenizers raises nothing narrower
        raise StudyError(f"its tokenizer cannot write the validation text: {error}") from None
    unknown = tokenizer.token_to_id(getattr(tokenizer.model, "unk_token", None) or "")
    written = sum(_written(*each, unknown) for each in zip(encoded, texts, strict=True))
    share = 1 - written / sum(map(_marks, texts))
    if not all(each.ids for each in encoded):
        raise StudyError(
            "its tokenizer cannot write a window of the validation text at all: name the right one "
            "in the key tokenizer, or take text that the model knows"
        )
    if share > _MOST_UNKNOWN:
        raise StudyError(
            f"its tokenizer cannot write {share:.0%} of the validation text's characters, at most "
            f"{_MOST_UNKNOWN:.0%} may be so: name the right one in the key tokenizer, or take text "
            "that the model knows"
        )
    return encoded


def _written(encoding: Encoding, text: str, unknown: int | None) -> int:
    """How many characters but spaces stand in tokens that say which they are."""
    covered = np.zeros(len(text), dtype=bool)
    for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
        covered[start:end] |= token != unknown
    return sum(not text[place].isspace() for place in np.flatnonzero(covered))


def _marks(text: str) -> int:
    """How many characters but spaces there are."""
    return sum(not character.isspace() for character in text)


def _text_of(stream: np.ndarray, pieces: list[bytes], first: int, last: int) -> tuple[int, str]:
    """The text of tokens first … last − 1 of a document, out to the edges of whole characters.

    Also where it begins, in bytes from the first of these tokens: 0, or up to 3 before.
    """
    reach = _LONGEST_CHARACTER - 1
    before = _joined(_cut(stream[max(first - reach, 0) : first][::-1])[::-1], pieces)
    window = _joined(stream[first:last], pieces)
    whole = before + window + _joined(_cut(stream[last : last + reach]), pieces)
    heads = np.flatnonzero(begun(whole))
    begin = int(heads[heads <= len(before)][-1])
    later = heads[heads >= len(before) + len(window)]
    end = int(later[0]) if len(later) else len(whole)
    return begin - len(before), whole[begin:end].decode("utf-8")


def _cut(tokens: np.ndarray) -> np.ndarray:
    """The tokens before the first start token: those of the same document."""
    starts = document_starts(tokens)
    return tokens[: starts[0]] if len(starts) else tokens


def _joined(tokens: np.ndarray, pieces: list[bytes]) -> bytes:
    return b"".join(pieces[token] for token in tokens)


def _ends(encoding: Encoding, text: str, begin: int) -> np.ndarray:
    """Where each token ends, in bytes, ascending; text that no token covers goes with the last."""
    sizes = [len(character.encode()) for character in text]
    place = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    ends = np.maximum.accumulate([place[end] for _, end in encoding.offsets])
    ends[-1] = place[-1]
    return begin + ends


def _filled(texts: list[np.ndarray], start_token: int) -> np.ndarray:
    """Start token and text of each, filled up from the following ones to one length: [E, T + 1]."""
    length = max(map(len, texts))
    stream = np.concatenate(texts)
    starts = np.cumsum([0, *map(len, texts[:-1])])
    rows = stream[(starts[:, None] + np.arange(length)) % len(stream)]
    return np.concatenate([np.full((len(rows), 1), start_token), rows], axis=1).astype(np.int64)


def _token_counts(valid: np.ndarray, pieces: list[bytes], tokenizer: Tokenizer) -> np.ndarray:
    """How often each of the model's tokens stands in the validation text."""
    counts = np.zeros(_ids_of(tokenizer), dtype=np.int64)
    for document in np.split(valid, document_starts(valid)):
        text = _joined(document[document != START_TOKEN], pieces).decode("utf-8")
        ids = np.array(_ids(tokenizer, text), dtype=np.int64)
        counts += np.bincount(ids, minlength=len(counts))
    return counts


def tokens_in_text(folder: Path, tokenizer: Tokenizer, start_token: int) -> np.ndarray:
    """The model's tokens that stand in the validation text, the rarest first; not the start."""
    pieces = token_bytes(load_tokenizer(folder))
    counts = _token_counts(load_tokens(folder, "valid"), pieces, tokenizer)
    counts[start_token : start_token + 1] = 0
    there = np.flatnonzero(counts)
    return there[np.argsort(counts[there], kind="stable")]


def _probes(
    counts: np.ndarray, start_token: int, settings: Settings, random: np.random.Generator
) -> Probes:
    """As for the study's models, drawn from the tokens that stand in the text."""
    there = np.flatnonzero(counts)
    drawn = make_probes(np.concatenate([[0], counts[there]]), 0, settings, random)
    tokens = np.concatenate([[start_token], there])[drawn.tokens.numpy()]
    return Probes(torch.from_numpy(tokens), drawn.periods, drawn.repeats)
