"""Text of a dataset hub: documents are streamed and kept as shards, a JSON string on each line.

The package `datasets` does the downloading, so that its settings (mirror, token, cache) hold. No
code of a dataset is run. A run that is stopped goes on after its last whole shard.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from induction.config import Dataset
from induction.errors import StudyError
from induction.files import read_json, sha256, write_json
from induction.progress import progress

FOLDER = "datasets"  # below data/raw
_SHARD_CHARACTERS = 50_000_000
_STATE = "state.json"


def fetch_dataset(name: str, settings: Dataset, root: Path, cache: Path) -> list[Path]:
    """Bring a dataset's first `settings.characters` into a folder of `cache`; its shards in order.

    Whole documents, so the last one may go beyond. The folder's name is made from the settings and,
    for a local dataset, from its files.
    Raises StudyError, naming corpus.datasets.NAME, when `datasets` is not installed, and when there
    is no such dataset, revision, configuration, split or column, or it cannot be reached.
    """
    key = json.dumps([settings.model_dump(), _digests(root / settings.source)], sort_keys=True)
    folder = cache / hashlib.sha256(key.encode()).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    state = _saved_state(folder)
    place = f"params.yaml: corpus.datasets.{name}"
    with progress(settings.characters, "characters") as report:
        report(state["characters"], name)
        if not state["ended"]:
            stream = _stream(place, settings, root, state["position"])
            while not state["ended"]:
                state = _write_shard(place, settings, folder, stream, state)
                report(state["characters"], name)
    if not state["characters"]:
        raise StudyError(f"{place}: holds no text: name another split or column")
    return [folder / shard for shard in state["shards"]]


def link_shards(shards: list[Path], target: Path) -> None:
    """Put shards into a folder, without a second copy where the file system can do so."""
    target.mkdir(parents=True)
    for shard in shards:
        try:
            os.link(shard, target / shard.name)
        except OSError:
            shutil.copyfile(shard, target / shard.name)


def shard_lines(path: Path) -> Iterator[tuple[int, int]]:
    """Offset and length in bytes of each line of a shard."""
    offset = 0
    with path.open("rb") as file:
        for line in file:
            yield offset, len(line)
            offset += len(line)


def read_line(path: Path, offset: int, length: int) -> str:
    """The document on a line of a shard. StudyError when it is no JSON string."""
    with path.open("rb") as file:
        file.seek(offset)
        line = file.read(length)
    try:
        text = json.loads(line)
    except (ValueError, RecursionError):
        text = None
    if not isinstance(text, str):
        raise StudyError(f"{path}: not a text at byte {offset}: delete data/raw, run `make study`")
    return text


def _digests(local: Path) -> dict[str, str]:
    """Of every file of a local dataset; none of one on a hub, whose revision tells what it is."""
    files = sorted(path for path in local.rglob("*") if path.is_file()) if local.is_dir() else []
    return {str(path.relative_to(local)): sha256(path) for path in files}


def _saved_state(folder: Path) -> dict[str, Any]:
    """How far an earlier run came, if its shards are what they were; else the beginning."""
    fresh: dict[str, Any] = {"characters": 0, "shards": {}, "position": None, "ended": False}
    if not (folder / _STATE).is_file():
        return fresh
    try:
        state = read_json(folder / _STATE)
    except StudyError:
        return fresh
    there = all(
        (folder / shard).is_file() and sha256(folder / shard) == digest
        for shard, digest in state["shards"].items()
    )
    return state if there else fresh


def _stream(place: str, settings: Dataset, root: Path, position: Any) -> Any:
    """The dataset from that position on, as an iterable that knows its own."""
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise StudyError(
            f"{place}: needs the package datasets: run `make setup && source .venv/bin/activate && "
            "pip install -e '.[hub]'`"
        ) from None
    datasets.utils.logging.set_verbosity_error()
    local = root / settings.source
    if local.is_file():
        raise StudyError(f"{place}.source: {local} is a file: give the folder that it lies in")
    if not local.is_dir() and settings.revision is None:
        raise StudyError(
            f"{place}.source: no such folder: {local}; for a repository of a hub, name a commit or "
            "tag in the key revision, so that the text stays the same"
        )
    try:
        stream = datasets.load_dataset(
            str(local) if local.is_dir() else settings.source,
            settings.config,
            split=settings.split,
            revision=None if local.is_dir() else settings.revision,
            streaming=True,
        )
        if position is not None:
            stream.load_state_dict(position)
    except Exception as error:  # the package and its own ones have no common error
        raise StudyError(_explain(place, settings, error)) from None
    return _Positioned(stream)


class _Positioned:
    """One pass over a stream of examples, taken up where the last reader stopped."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._examples = iter(stream)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return self._examples

    def position(self) -> Any:
        return self._stream.state_dict()


def _write_shard(
    place: str, settings: Dataset, folder: Path, stream: _Positioned, state: dict[str, Any]
) -> dict[str, Any]:
    """Write the next shard, whole or not at all; the state after it, saved."""
    characters, wanted = 0, settings.characters - state["characters"]
    path = folder / f"{len(state['shards']):05d}.jsonl"
    scratch = path.with_suffix(".new")
    with scratch.open("w", encoding="utf-8") as file:
        for text in _texts(place, settings, stream):
            file.write(json.dumps(text) + "\n")
            characters += len(text)
            if characters >= min(wanted, _SHARD_CHARACTERS):
                break
    ended = characters < min(wanted, _SHARD_CHARACTERS) or characters >= wanted
    shards = dict(state["shards"])
    if characters:
        scratch.replace(path)
        shards[path.name] = sha256(path)
    else:
        scratch.unlink()
    after = {
        "characters": state["characters"] + characters,
        "shards": shards,
        "position": None if ended else stream.position(),
        "ended": ended,
    }
    write_json(folder / _STATE, after)
    return after


def _texts(place: str, settings: Dataset, stream: _Positioned) -> Iterator[str]:
    """The texts that are left. Raises StudyError where there is no such column."""
    try:
        for example in stream:
            if settings.text not in example:
                raise StudyError(
                    f"{place}.text: no column {settings.text!r}: there are "
                    f"{', '.join(map(str, example))}"
                )
            if isinstance(text := example[settings.text], str) and text:
                yield text
    except StudyError:
        raise
    except Exception as error:  # as above
        raise StudyError(_explain(place, settings, error)) from None


def _explain(place: str, settings: Dataset, error: Exception) -> str:
    """One line for what the package says: a name that is not there, or no way to the hub."""
    what = f"{settings.source}@{settings.revision}, {settings.config}, {settings.split}"
    if isinstance(error, (FileNotFoundError, ValueError)):
        return f"{place}: no such dataset, revision, config or split ({what}): {error}"
    return (
        f"{place}: cannot read {what}: {type(error).__name__}: {error}: check the network and the "
        "settings of the hub; shards that arrived are kept"
    )
