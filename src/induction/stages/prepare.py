"""Stage prepare: documents, tokenizer and token streams from data/raw into data/tokens."""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from induction.config import StudyConfig
from induction.data.documents import Document, collect_documents, split_documents
from induction.data.hub import FOLDER
from induction.data.tally import (
    check_amount,
    check_enough,
    check_known,
    check_lengths,
    kept_and_dropped,
    learnable,
)
from induction.data.tokenizer import encode_documents, train_tokenizer
from induction.data.tokens import START_TOKEN, SourceMeta, TokensMeta
from induction.files import published_folder, sha256, verify_folder, write_json
from induction.paths import StudyPaths
from induction.progress import Report, progress
from induction.stages import run_stage

Item = TypeVar("Item")


def main(paths: StudyPaths, config: StudyConfig) -> None:
    verify_folder(paths.raw)
    corpus = config.corpus
    collection = collect_documents(
        paths.raw, corpus.min_characters, corpus.max_line_length, of_prose=corpus.prose
    )
    print(kept_and_dropped(collection), flush=True)
    check_enough(collection)
    train, valid = split_documents(collection.documents, corpus.validation_fraction, corpus.seed)

    with (
        published_folder(paths.tokens, paths.scratch) as folder,
        progress(2 * len(train) + len(valid), "documents") as report,
    ):
        # No thread limit: nothing else can run before there are tokens, and they come out the same.
        seen = _counted(learnable(_texts(train)), report, 0, "learning the tokenizer")
        tokenizer = train_tokenizer(seen, config.tokenizer.d_vocab)
        tokenizer.save(str(folder / "tokenizer.json"))

        encoded = encode_documents(tokenizer, _texts([*train, *valid]))
        encoded = _counted(encoded, report, len(train), "encoding")
        train_tokens = _write_stream(folder / "train.bin", encoded, len(train))
        valid_tokens = _write_stream(folder / "valid.bin", encoded, len(valid))

        tokens = np.memmap(folder / "train.bin", dtype="<u2", mode="r")
        valid_stream = np.fromfile(folder / "valid.bin", dtype="<u2")
        remarks = check_lengths(valid_stream, config)
        remarks += check_amount(train_tokens, config) + check_known(tokens, valid_stream)
        for remark in remarks:
            print(remark, flush=True)

        train_characters = sum(document.characters for document in train)
        valid_characters = sum(document.characters for document in valid)
        meta = TokensMeta(
            d_vocab=config.tokenizer.d_vocab,
            start_token=START_TOKEN,
            characters_per_token=(train_characters + valid_characters)
            / (train_tokens + valid_tokens),
            train_documents=len(train),
            train_characters=train_characters,
            train_tokens=train_tokens,
            valid_documents=len(valid),
            valid_characters=valid_characters,
            valid_tokens=valid_tokens,
            dropped=collection.dropped,
            sources=_sources(paths.raw, collection.documents),
        )
        write_json(folder / "meta.json", meta.model_dump(mode="json"))


def _texts(documents: list[Document]) -> Iterator[str]:
    """One text after the other: those of datasets are read from disk only now."""
    for document in documents:
        yield document.text


def _counted(items: Iterable[Item], report: Report, done: int, remark: str) -> Iterator[Item]:
    """The same items, each reported as it is taken."""
    for done_now, item in enumerate(items, start=done + 1):
        report(done_now, remark)
        yield item


def _write_stream(path: Path, encoded: Iterator[np.ndarray], n_documents: int) -> int:
    """Write the next documents one behind the other; the number of tokens."""
    tokens = 0
    with path.open("wb") as file:
        for ids in islice(encoded, n_documents):
            file.write(ids.tobytes())  # tofile says nothing of a full disk
            tokens += len(ids)
    return tokens


def _sources(raw: Path, documents: list[Document]) -> tuple[SourceMeta, ...]:
    """What was kept of each file of data/raw, those of which nothing was kept too."""
    kept: dict[str, list[int]] = {}
    for document in documents:
        kept.setdefault(document.source, []).append(document.characters)
    patterns = (f"{FOLDER}/*/*.jsonl", "files/*", "wheels/*.whl")
    paths = [path for pattern in patterns for path in sorted(raw.glob(pattern))]
    names = [path.relative_to(raw).as_posix() for path in paths]
    return tuple(
        SourceMeta(
            name=name,
            sha256=sha256(path),
            documents=len(kept.get(name, [])),
            characters=sum(kept.get(name, [])),
        )
        for name, path in zip(names, paths, strict=True)
    )


if __name__ == "__main__":
    run_stage("prepare", main)
