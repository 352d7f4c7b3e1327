"""What `prepare` says of the text: what was kept and dropped, and whether it is enough."""

import re
from collections.abc import Iterable, Iterator

import numpy as np

from induction.config import StudyConfig
from induction.data.documents import Collection
from induction.data.overlap import known_share
from induction.data.own_text import holds_records
from induction.data.tokens import document_starts
from induction.errors import StudyError

_NOTED = 0.1  # share of what was read from which a reason is worth a warning
_NAMED = 3  # files of each reason, those that lost most
_FEW = 10  # documents that validation windows are drawn from
_WORD = re.compile(r"[^\W\d_]{30,}")
_LONG_WORDS = 3_000_000  # characters in words that long: learning from more takes gigabytes


def kept_and_dropped(collection: Collection) -> str:
    """A table of documents and characters kept, and dropped for each reason; warnings below it."""
    kept = sum(document.characters for document in collection.documents)
    whole = ("kept", len(collection.documents), kept)
    reasons = [
        (f"dropped: {reason.replace('_', ' ')}", count, collection.dropped_characters[reason])
        for reason, count in collection.dropped.items()
        if count or collection.dropped_characters[reason]
    ]
    rows = [whole, *reasons]
    characters = sum(size for _, _, size in rows)
    lines = [f"{'':24}{'documents':>12}{'characters':>16}{'share':>8}"]
    for what, count, size in rows:
        share = size / characters if characters else 0.0
        lines.append(f"{what:24}{count:>12,}{size:>16,}{share:>8.1%}")
    for what, _, size in reasons:
        if size > _NOTED * characters:
            lines.append(f"warning: {what}: {size / characters:.0%}: {_WAYS_OUT[what]}")
    for reason, files in collection.of_files.items():
        if files:
            named = ", ".join(f"{name} ({size:,})" for name, size in files.most_common(_NAMED))
            more = f", and {len(files) - _NAMED:,} more files" if len(files) > _NAMED else ""
            lines.append(f"dropped of your files as {reason.replace('_', ' ')}: {named}{more}")
    records = [d.source for d in collection.documents if d.source.startswith("files/")]
    if found := sorted({name for name in records if holds_records(name)}):
        lines.append(
            f"warning: {found[0]} and files like it are tables or lists of records, whose marks "
            "are learned as text: a field of a .jsonl file can be read by corpus.datasets"
        )
    return "\n".join(lines)


_WAYS_OUT = {
    "dropped: too large": "split these documents",
    "dropped: not utf8": "the log of fetch names these files: convert them to UTF-8",
    "dropped: too short": "lower corpus.min_characters, or put short texts into one file",
    "dropped: long line": "raise corpus.max_line_length",
    "dropped: generated": "such files say in a comment that a program wrote them: take it out",
    "dropped: duplicate": "the same text stands there several times",
}


def check_enough(collection: Collection) -> None:
    """StudyError when there is no document each for training and validation, with the way out of
    what took most of the text."""
    if len(collection.documents) >= 2:
        return
    dropped = collection.dropped_characters
    most = max(dropped, key=lambda reason: (dropped[reason], collection.dropped[reason]))
    took = f"dropped: {most.replace('_', ' ')}"
    reason = f"{took}: {_WAYS_OUT[took]}, or " if collection.dropped[most] else ""
    way_out = f"{reason}add text (a file of 40,000 characters or more counts as several)"
    raise StudyError(
        f"data/raw: {len(collection.documents)} of its documents are kept: training and validation "
        f"need at least one each: {way_out}"
    )


def check_lengths(valid: np.ndarray, config: StudyConfig) -> list[str]:
    """Remarks on whether validation documents can hold windows of a context.

    valid: [tokens], with a start token before each document. Raises StudyError when none can.
    """
    starts = document_starts(valid)
    lengths = np.diff(np.append(starts, len(valid))) - 1
    n_ctx = config.model.n_ctx
    usable = int((lengths > n_ctx).sum())
    about = (
        f"{usable:,} of {len(lengths):,} validation documents are longer than model.n_ctx: "
        f"{n_ctx} tokens (the median has {int(np.median(lengths)):,}, the longest "
        f"{int(lengths.max()):,})"
    )
    way_out = "shorten the context, or put short texts into one file: long files are cut by rule"
    if not usable:
        raise StudyError(f"{about}: windows of text lie inside one document: {way_out}")
    if usable < _FEW:
        few = f"few for {config.evaluation.examples} windows of text"
        return [f"warning: {about}: {few}: {'add text' if usable == len(lengths) else way_out}"]
    return [about]


def check_amount(train_tokens: int, config: StudyConfig) -> list[str]:
    """A remark when models ask for more tokens than there are; `train` refuses them then."""
    asked = {name: model.tokens for name, model in config.models.items()}
    short = [name for name, tokens in asked.items() if tokens > train_tokens]
    if not short or config.train.repeat_data:
        return []
    return [
        f"warning: {train_tokens:,} training tokens, and {', '.join(short)} ask for up to "
        f"{max(asked.values()):,}: training will refuse to begin: lower models.*.tokens, add text, "
        "or set train.repeat_data: true"
    ]


def check_known(train: np.ndarray, valid: np.ndarray) -> list[str]:
    """A remark when much of the validation text stands in the training text too.

    train, valid: [tokens].
    """
    share = known_share(train, valid)
    if share <= _NOTED:
        return []
    return [
        f"warning: {share:.0%} of the validation text also stands in the training text, word for "
        "word: models know it by heart: take out copies (a file beside one that it was joined to?)"
    ]


def learnable(texts: Iterable[str]) -> Iterator[str]:
    """Texts to learn a vocabulary from: to the point where writing without spaces, in which a word
    is as long as a sentence, would take more memory than a laptop has."""
    left = _LONG_WORDS
    for text in texts:
        yield text
        left -= sum(len(word) for word in _WORD.findall(text))
        if left < 0:
            return
