"""Which files stand for each revision of an external model: found once, pinned, and then only
those are read."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from induction.config import ExternalModel
from induction.errors import StudyError
from induction.external.folder import list_folder
from induction.external.hub import list_hub
from induction.files import read_record, write_json

NAME = "revisions.json"
SMALL_FILES = ("config.json", "tokenizer.json")


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


class _Pinned(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: dict[str, str | int]
    revisions: Annotated[list[Revision], Field(min_length=1)]


def find_revisions(root: Path, entry: ExternalModel) -> list[Revision]:
    """Ask the hub or the folder for all revisions, in order of training; nothing is downloaded.

    Raises StudyError for what is not there, cannot be reached, has no weights of a kind that is
    read, or the same weights as another.
    """
    folder = root / entry.source
    found = []
    for name, step in sorted(entry.revisions.items(), key=lambda pair: pair[1]):
        if folder.is_dir():
            commit, files = None, list_folder(folder / name)
        elif entry.source.startswith((".", "/", "~")) or entry.source.count("/") != 1:
            raise StudyError(
                f"{entry.source}: no such folder, and no repository of a model hub (owner/name)"
            )
        else:
            commit, files = list_hub(entry.source, name)
        wanted = needed_files(f"{entry.source}, revision {name}", files)
        pinned = {file: PinnedFile(*files[file]) for file in wanted}
        found.append(Revision(name, step, commit, pinned))
    _refuse_copies(entry.source, found)
    return found


def _refuse_copies(source: str, revisions: list[Revision]) -> None:
    """StudyError when two revisions have the same weights: one of them is not what it is called.

    That happens: some of the Pythia suite's early branches hold the weights of the last one.
    """
    first_of: dict[tuple[str, ...], str] = {}
    for revision in revisions:
        digests = tuple(
            file.sha256
            for name, file in revision.files.items()
            if name.endswith(".safetensors") and file.sha256
        )
        if digests and digests in first_of:
            raise StudyError(
                f"{source}: revisions {first_of[digests]} and {revision.name} have the same "
                "weights: one is mislabelled: leave it out"
            )
        first_of[digests] = revision.name


def needed_files(where: str, names: Collection[str]) -> list[str]:
    """Of all file names of a revision, those that are read; weights are safetensors alone.

    Raises StudyError when one is missing.
    """
    for name in SMALL_FILES:
        if name not in names:
            raise StudyError(f"{where}: has no {name}: not a model that can be measured")
    if "model.safetensors" in names:
        weights = ["model.safetensors"]
    elif "model.safetensors.index.json" in names:
        parts = (name for name in names if name.endswith(".safetensors") and "/" not in name)
        weights = [
            "model.safetensors.index.json",
            *sorted(name for name in parts if name.startswith("model-")),
        ]
    else:
        raise StudyError(
            f"{where}: has no model.safetensors: weights of other kinds can run code and are not "
            "read: convert them with transformers"
        )
    return [*SMALL_FILES, *weights]


def save_revisions(folder: Path, model: Mapping[str, str | int], revisions: list[Revision]) -> None:
    """Write them down, with what the model is: its family and sizes."""
    pinned = [asdict(revision) for revision in revisions]
    write_json(folder / NAME, {"model": dict(model), "revisions": pinned})


def load_revisions(folder: Path) -> list[Revision]:
    """What `save_revisions` wrote; StudyError names the file when it is missing or damaged."""
    return read_record(folder / NAME, _Pinned).revisions
