"""Where the files of a model's revisions are: in a folder, or downloaded when they are wanted."""

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from induction.config import ExternalModel, StudyConfig, external_config
from induction.errors import StudyError
from induction.external import hub
from induction.external.revisions import Revision
from induction.files import sha256, size_text
from induction.paths import StudyPaths

DELETE_VARIABLE = "INDUCTION_DELETE_WEIGHTS"


@dataclass(frozen=True)
class Store:
    """Where the files of a model's revisions are: below `folder` if that is one, else in `cache`,
    downloaded from the hub's repository `entry.source`.

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

    def files_of(self, revision: Revision, names: Collection[str] = ()) -> Path:
        """The folder with a revision's files, or those that are named, each as it was pinned.

        Raises StudyError when one is missing, differs, or cannot be downloaded.
        """
        if revision.commit is None:
            folder = self.folder / revision.name
        else:
            if not names and (missing := self._missing(revision)):
                print(f"{self.name}: {revision.name}: downloading {size_text(missing)}")
            folder = hub.download(
                self.cache, self.entry.source, revision.commit, list(names or revision.files)
            )
        for name in names or revision.files:
            path, pinned = folder / name, revision.files[name]
            if not path.is_file() or path.stat().st_size != pinned.size:
                raise StudyError(self._changed(path))
            if pinned.sha256 and sha256(path) != pinned.sha256:
                raise StudyError(self._changed(path))
        return folder

    def read(self, revision: Revision) -> None:
        """Once a revision is in memory: delete what was downloaded of it, if that is wanted."""
        if revision.commit is not None and _deletes():
            hub.delete(self.cache, revision.commit)

    def _missing(self, revision: Revision) -> int:
        """Bytes of a revision that are still to download."""
        return sum(
            file.size
            for name, file in revision.files.items()
            if not hub.is_here(self.cache, self.entry.source, revision.commit or "", name)
        )

    def _changed(self, path: Path) -> str:
        return (
            f"{path}: missing, or not the file that was pinned: put it back, or pin anew: "
            f"dvc repro --force revisions@{self.name}"
        )


def make_store(paths: StudyPaths, config: StudyConfig, name: str) -> Store:
    """The store of one external model."""
    entry = external_config(config, name)
    return Store(name, entry, paths.root / entry.source, paths.hub)


def _deletes() -> bool:
    return os.environ.get(DELETE_VARIABLE, "") not in ("", "0")
