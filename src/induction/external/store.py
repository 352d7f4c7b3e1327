"""Where the files of a model's revisions are: in a folder, or downloaded when they are wanted."""

import math
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from induction.config import ExternalModel, StudyConfig, external_config
from induction.errors import StudyError
from induction.external import hub
from induction.external.folder import revision_folder
from induction.external.gguf_files import local_entry
from induction.external.revisions import PinnedFile, PinnedTokenizer, Revision
from induction.files import locked, sha256, size_text
from induction.paths import StudyPaths

DELETE_VARIABLE = "INDUCTION_DELETE_WEIGHTS"


@dataclass(frozen=True)
class Store:
    """Where the files of a model's revisions are: below `folder` if that is one, else in `cache`,
    downloaded from the hub's repository `entry.source`, which alone has its files there.

    name: of the model in params.yaml, for what is said of it.
    """

    name: str
    entry: ExternalModel
    folder: Path
    cache: Path

    def announce(self, revisions: list[Revision]) -> None:
        """Say how much is still to download; StudyError when there is no room for it."""
        if self.folder.is_dir():
            return
        missing = [self._missing(revision) for revision in revisions]
        most = max(missing) if _deletes() else sum(missing)
        print(
            f"{self.name}: {len(revisions)} revisions of {self.entry.source}, "
            f"{size_text(sum(revision.size for revision in revisions))}; to download: "
            f"{size_text(sum(missing))}"
        )
        self.cache.mkdir(parents=True, exist_ok=True)
        if (free := shutil.disk_usage(self.cache).free) < most:
            raise StudyError(
                f"external.{self.name}: {size_text(most)} to download, {size_text(free)} free in "
                f"{self.cache}: make room, name fewer revisions, or set {DELETE_VARIABLE}=1 to "
                "delete each after use"
            )

    @contextmanager
    def files_of(self, revision: Revision, names: Collection[str] = ()) -> Iterator[Path]:
        """The folder with a revision's files, or those that are named, each as it was pinned.

        Files of a hub stay as long as the block lasts: other processes that want the model wait.
        With INDUCTION_DELETE_WEIGHTS=1 all of a revision are deleted when the block ends well, but
        not those that were named. Raises StudyError when one is missing, differs, or cannot be
        downloaded.
        """
        wanted = {name: revision.files[name] for name in names or revision.files}
        if revision.commit is None:
            yield self._checked(revision_folder(self.folder, revision.name), wanted)
            return
        self.cache.mkdir(parents=True, exist_ok=True)
        with locked(self.cache, math.inf):  # another one may be at a long download
            if not names and (missing := self._missing(revision)):
                print(f"{self.name}: {revision.name}: downloading {size_text(missing)}")
            yield self._downloaded(self.entry.source, revision.commit, wanted)
            if not names and _deletes():
                hub.delete(self.cache, revision.commit)

    @contextmanager
    def tokenizer(self, root: Path, pinned: PinnedTokenizer) -> Iterator[Path]:
        """The tokenizer's file, as it was pinned. Local sources lie below root.

        Raises StudyError as `files_of` does.
        """
        if pinned.commit is None:
            folder = root / pinned.source
            folder = revision_folder(folder, pinned.revision) if pinned.revision else folder
            yield self._checked(folder, pinned.files) / pinned.file
            return
        self.cache.mkdir(parents=True, exist_ok=True)
        with locked(self.cache, math.inf):
            yield self._downloaded(pinned.source, pinned.commit, pinned.files) / pinned.file

    def _checked(self, folder: Path, wanted: Mapping[str, PinnedFile]) -> Path:
        """A local folder; StudyError when some of its files are not those that were pinned."""
        for name, pinned in wanted.items():
            if not _as_pinned(folder / name, pinned):
                raise StudyError(
                    f"{folder / name}: missing, or not the file that was pinned: put it back, "
                    f"or pin anew: dvc repro --force revisions@{self.name}"
                )
        return folder

    def _downloaded(self, source: str, commit: str, wanted: Mapping[str, PinnedFile]) -> Path:
        """The folder with some files of a commit; one that was damaged is fetched once more."""
        fetch = partial(hub.download, self.cache, source, commit)
        folder = fetch(list(wanted))
        for name, pinned in wanted.items():
            path = folder / name
            if not _as_pinned(path, pinned):
                print(f"{self.name}: {path}: damaged: downloading it again")
                path.unlink(missing_ok=True)
                fetch([name], again=True)
                if not _as_pinned(path, pinned):
                    raise StudyError(
                        f"{path}: downloaded again, and still not the file that was pinned: delete "
                        f"it and try later, or pin anew: dvc repro --force revisions@{self.name}"
                    )
        return folder

    def _missing(self, revision: Revision) -> int:
        """Bytes of a revision that are still to download."""
        return sum(
            file.size
            for name, file in revision.files.items()
            if not hub.is_here(self.cache, self.entry.source, revision.commit or "", name)
        )


def make_store(paths: StudyPaths, config: StudyConfig, name: str) -> Store:
    """The store of one external model."""
    entry = local_entry(paths, name, external_config(config, name))
    cache = paths.hub / entry.source.replace("/", "--")
    return Store(name, entry, paths.checkout / entry.source, cache)


def _deletes() -> bool:
    return os.environ.get(DELETE_VARIABLE, "") not in ("", "0")


def _as_pinned(path: Path, pinned: PinnedFile) -> bool:
    if not path.is_file() or path.stat().st_size != pinned.size:
        return False
    return pinned.sha256 is None or sha256(path) == pinned.sha256
