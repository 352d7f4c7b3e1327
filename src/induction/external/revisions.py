"""Which files stand for each revision of an external model: found once, pinned, and then only
those are read."""

import re
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from induction.config import ExternalModel
from induction.errors import StudyError
from induction.external.folder import INDEX, Files, broken_weights, list_folder, revision_folder
from induction.external.hub import list_hub
from induction.external.reading import LeftOut
from induction.files import read_record, sha256, write_json

NAME = "revisions.json"
CONFIG = "config.json"
_TOKENIZER = "tokenizer.json"
_SHARD = re.compile(r"model-\d+-of-(\d+)\.safetensors")
_OLDER = ("pytorch_model.bin", "pytorch_model.bin.index.json")


@dataclass(frozen=True)
class PinnedFile:
    """Size in bytes; sha256 where it is known: for all of a folder, for a hub's large files."""

    size: Annotated[int, Field(ge=0)]
    sha256: str | None


@dataclass(frozen=True)
class Revision:
    """One revision of a model: its files, by name, as they are read to measure it.

    commit: on a hub, the commit that the revision's name led to; None in a folder.
    """

    name: str
    step: Annotated[int, Field(ge=0)]
    commit: str | None
    files: dict[str, PinnedFile]

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files.values())

    @property
    def weights(self) -> list[str]:
        """The names of the files with tensors."""
        return [name for name in self.files if name.endswith(".safetensors")]


@dataclass(frozen=True)
class PinnedTokenizer:
    """Where a model's tokenizer is: `files` of a revision of a repository, or of a local folder.

    file: the name of the tokenizer among them; beside it may stand tokenizer_config.json.
    """

    source: str
    revision: str
    commit: str | None
    file: str
    files: dict[str, PinnedFile]

    def __str__(self) -> str:
        return f"{self.file} of {self.source}" + (self.revision and f", {self.revision}")


class Found(BaseModel):
    """All revisions of a model that can be measured, in order of training, and what cannot."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    revisions: Annotated[list[Revision], Field(min_length=1)]
    tokenizer: PinnedTokenizer
    left_out: list[LeftOut]


class _Pinned(Found):
    model: dict[str, str | int]


class Unusable(StudyError):
    """A revision that is there and cannot be measured."""


def find_revisions(root: Path, entry: ExternalModel) -> Found:
    """Ask the hub or the folder for all revisions; nothing is downloaded.

    A revision without whole weights, or with the weights of a later one, is left out. Raises
    StudyError for what is not there or cannot be reached, when no revision is left, when there is
    no tokenizer, and with `strict` for the first that would be left out.
    """
    folder = root / entry.source
    check_source(folder, entry.source)
    found, left_out, listed = [], [], {}
    for name, step in sorted(entry.steps.items(), key=lambda pair: pair[1]):
        commit, files = listed[name] = files_of(folder, entry.source, name)
        try:
            found.append(_pinned(folder, entry.source, Revision(name, step, commit, {}), files))
        except Unusable as error:
            left_out.append(LeftOut(name, step, str(error)))
    left_out += _copies(found)
    if left_out and (entry.strict or len(left_out) == len(listed)):
        none = "" if entry.strict else "no revision can be measured: "
        raise StudyError(f"{entry.source}: {none}{left_out[0].name}: {left_out[0].reason}")
    names = {each.name for each in left_out}
    found = [each for each in found if each.name not in names]
    usable = {each.name: listed[each.name] for each in found}
    return Found(
        revisions=found,
        tokenizer=_find_tokenizer(root, entry, {**usable, **listed}),
        left_out=sorted(left_out, key=lambda each: each.step),
    )


def check_source(folder: Path, source: str) -> None:
    """StudyError for what is neither a local folder nor the name of a repository."""
    if folder.is_file():
        raise StudyError(f"{source}: is a file: name its folder, and a GGUF file in the key file")
    if source.startswith("~"):
        raise StudyError(f"{source}: write the whole path: ~ stands for no folder here")
    if not folder.is_dir() and (source.startswith((".", "/")) or source.count("/") != 1):
        raise StudyError(f"{source}: no such folder, and no repository of a model hub (owner/name)")


def files_of(folder: Path, source: str, name: str) -> tuple[str | None, Files]:
    """The commit, on a hub, and the files of a revision."""
    if folder.is_dir():
        return None, list_folder(revision_folder(folder, name))
    return list_hub(source, name)


def _pinned(folder: Path, source: str, revision: Revision, files: Files) -> Revision:
    """The revision with the files that are read of it. Raises Unusable when one is missing."""
    wanted = needed_files(source, files)
    if revision.commit is None:
        folder = revision_folder(folder, revision.name)
    pinned = replace(revision, files=pin(folder, files, wanted))
    if revision.commit is None and (broken := broken_weights(folder, pinned.weights)):
        raise Unusable(broken)
    return pinned


def pin(folder: Path, files: Files, wanted: Collection[str]) -> dict[str, PinnedFile]:
    """Some files of a revision as they are now: read where they are local."""

    def one(name: str) -> PinnedFile:
        size, digest = files[name]
        return PinnedFile(size, sha256(folder / name) if (folder / name).is_file() else digest)

    return {name: one(name) for name in wanted}


def needed_files(source: str, names: Collection[str]) -> list[str]:
    """Of all file names of a revision, those that are read; weights are safetensors alone.

    Raises Unusable when one is missing.
    """
    if "adapter_config.json" in names:
        raise Unusable(
            "is an adapter, or has one beside it, which would not be read: merge it into its "
            "model (merge_and_unload of the package peft), or take it out"
        )
    if CONFIG not in names:
        raise Unusable(f"has no {CONFIG}: not a model that can be measured")
    if "model.safetensors" in names:
        return [CONFIG, "model.safetensors"]
    shards = sorted(name for name in names if _SHARD.fullmatch(name))
    if shards and INDEX in names:
        (asked,) = _SHARD.fullmatch(shards[0]).groups()  # pyright: ignore[reportOptionalMemberAccess]
        if len(shards) != int(asked):
            raise Unusable(f"has {len(shards)} of {int(asked)} files of weights")
        return [CONFIG, INDEX, *shards]
    if any(name in names for name in _OLDER):
        raise Unusable(
            "its weights are in the older format pytorch_model.bin, which can run code: convert "
            f"them: python -m induction.external.convert {source} FOLDER, and give FOLDER as source"
        )
    if shards:
        raise Unusable(f"has no {INDEX}, which says what is in its {len(shards)} files of weights")
    raise Unusable("has no weights: no model.safetensors")


def _copies(revisions: list[Revision]) -> list[LeftOut]:
    """Of revisions with the same weights, all but the last in training.

    That happens: some of the Pythia suite's early branches hold the weights of the last one.
    """
    found, later_of = [], {}
    for revision in reversed(revisions):
        digests = tuple(revision.files[name].sha256 for name in revision.weights)
        if None not in digests and digests in later_of:
            reason = f"has the same weights as {later_of[digests]}: one is mislabelled"
            found.append(LeftOut(revision.name, revision.step, reason))
        later_of.setdefault(digests, revision.name)
    return found


def _find_tokenizer(
    root: Path, entry: ExternalModel, listed: Mapping[str, tuple[str | None, Files]]
) -> PinnedTokenizer:
    """That of the key `tokenizer`; else of the first revision, of the source, of another revision.

    listed: the files of the revisions, in the order in which they are looked into.
    """
    if entry.tokenizer:
        return _named_tokenizer(root, entry.tokenizer)
    folder = root / entry.source
    first, *others = listed
    for name in (first, "", *others):
        commit, files = listed[name] if name else _top(folder, entry.source)
        if _TOKENIZER in files:
            place = revision_folder(folder, name) if name and commit is None else folder
            return _tokenizer(place, entry.source, name, commit, files)
    raise StudyError(
        f"{entry.source}: no {_TOKENIZER}, neither with its revisions nor beside them: name the "
        "folder, file or repository that has it in the key tokenizer; transformers' AutoTokenizer "
        "reads vocab.json or tokenizer.model, and its save_pretrained writes one"
    )


def _named_tokenizer(root: Path, source: str) -> PinnedTokenizer:
    path = root / source
    if path.is_file():
        if path.suffix != ".json":
            raise StudyError(
                f"tokenizer: {source}: only a {_TOKENIZER} is read: AutoTokenizer of transformers "
                "reads others, and its save_pretrained writes one"
            )
        files: Files = {path.name: (path.stat().st_size, None)}
        return _tokenizer(path.parent, str(Path(source).parent), "", None, files, path.name)
    check_source(path, source)
    commit, files = _top(path, source)
    if _TOKENIZER not in files:
        raise StudyError(f"tokenizer: {source} has no {_TOKENIZER}")
    return _tokenizer(path, source, "", commit, files)


def _top(folder: Path, source: str) -> tuple[str | None, Files]:
    """The files beside the revisions: those of the folder itself, or of the branch `main`."""
    return (None, list_folder(folder)) if folder.is_dir() else list_hub(source, "main")


def _tokenizer(
    folder: Path,
    source: str,
    revision: str,
    commit: str | None,
    files: Files,
    file: str = _TOKENIZER,
) -> PinnedTokenizer:
    wanted = [name for name in (file, "tokenizer_config.json") if name in files]
    return PinnedTokenizer(source, revision, commit, file, pin(folder, files, wanted))


def save_revisions(folder: Path, model: Mapping[str, str | int], found: Found) -> None:
    """Write them down, with what the model is: its family and sizes."""
    pinned = {
        "revisions": [asdict(revision) for revision in found.revisions],
        "tokenizer": asdict(found.tokenizer),
        "left_out": [asdict(each) for each in found.left_out],
    }
    write_json(folder / NAME, {"model": dict(model), **pinned})


def load_revisions(folder: Path) -> Found:
    """What `save_revisions` wrote; StudyError names the file when it is missing or damaged."""
    pinned = read_record(folder / NAME, _Pinned)
    return Found(revisions=pinned.revisions, tokenizer=pinned.tokenizer, left_out=pinned.left_out)
