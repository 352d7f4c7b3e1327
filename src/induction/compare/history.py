"""Files of other commits and experiments, from git and from DVC's cache and remotes."""

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.repo.experiments.utils import exp_refs
from dvc.scm import RevError, resolve_rev
from dvc_data.index import DataIndexDirError
from scmrepo.exceptions import SCMError

from induction.compare.stages import makers_of
from induction.errors import StudyError
from induction.paths import StudyPaths
from induction.runs.dvc_lock import Stages, load_stages
from induction.runs.layout import measured_files, small_files
from induction.runs.run import entries_of, load_params


class History:
    """The commits and experiments of the repository around a study; a context manager.

    Raises StudyError where there is no git or DVC repository.
    """

    def __init__(self, root: Path):
        logging.getLogger("dvc").setLevel(logging.CRITICAL)  # no progress bars of its own
        logging.getLogger("dvc_data").setLevel(logging.CRITICAL)
        try:
            self._repo = Repo(str(root))
        except DvcException as error:
            raise StudyError(f"{root}: {' '.join(str(error).split())}") from None
        # Any, since without git it is an object that can do nothing.
        self._scm: Any = self._repo.scm
        if not hasattr(self._scm, "list_branches"):
            raise StudyError(f"{root}: no git repository: use git clone")

    def close(self) -> None:
        self._repo.close()

    def resolve(self, name: str) -> str | None:
        """The commit that a revision or experiment stands for; None when there is none."""
        try:
            return resolve_rev(self._scm, name)
        except (RevError, SCMError):
            return None

    def names(self) -> list[str]:
        """Experiments, branches and tags."""
        return [*self._experiments(), *self._scm.list_branches(), *self._scm.list_tags()]

    def _experiments(self) -> list[str]:
        return sorted({ref.name for ref in exp_refs(self._scm) if ref.name})

    def date(self, sha: str) -> str:
        """Day of a commit (UTC), as 2026-01-31."""
        seconds = self._scm.resolve_commit(sha).commit_time
        return datetime.fromtimestamp(seconds, UTC).date().isoformat()

    def write_files(self, name: str, sha: str, target: Path) -> list[str]:
        """Write the files of a commit's run into an empty folder.

        Small files that its `dvc.lock` lists are required. Per-token losses are not: where they
        cannot be had, a sentence in the list that comes back says so.

        Raises StudyError when a required file is neither in the cache nor in a remote, and when
        the commit holds no results of this study.
        """
        copy = StudyPaths(target)
        # A remote that was configured after the commit serves it too.
        config = {"core": {}, "remote": self._repo.config["remote"]}
        if remote := self._repo.config["core"].get("remote"):
            config["core"] = {"remote": remote}
        try:
            files = DVCFileSystem(str(self._repo.root_dir), rev=sha, config=config)
            self._write(files, [copy.params, target / "dvc.lock", copy.metrics], target)
            if not (copy.params.is_file() and copy.metrics.is_file()):
                raise StudyError(f"{name}: this commit holds no results of the study ({sha[:12]})")
            models, stages = entries_of(load_params(copy.params)), load_stages(copy)
            lost = self._write(files, small_files(copy, models, stages), target, stages)
            if lost:
                raise StudyError(self._how_to_get(name, sha, lost))
            losses = [path for model in models for path in measured_files(copy, model)]
            if self._write(files, losses, target, stages):
                return [f"The per-token losses are not in the cache: {self._advice(name, sha)}."]
        except (DvcException, SCMError) as error:
            raise StudyError(f"{name}: {' '.join(str(error).split())}") from None
        return []

    def _write(
        self, files: Any, wanted: list[Path], target: Path, stages: Stages | None = None
    ) -> list[str]:
        """Write those files that the commit has; names of those that its stages made but that are
        lost. A file that dvc.yaml names and no stage made yet is none of these."""
        lost = []
        for path in wanted:
            name = path.relative_to(target).as_posix()
            try:
                content = files.read_bytes(name)
            except DataIndexDirError:  # what its folder holds is not known any more
                lost.append(name)
                continue
            except FileNotFoundError:
                if files.exists(name) and makers_of(stages or {}, [name]):
                    lost.append(name)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return lost

    def _how_to_get(self, name: str, sha: str, lost: list[str]) -> str:
        more = f" and {len(lost) - 1} more files" if len(lost) > 1 else ""
        remote = " nor in a remote" if self._repo.config["remote"] else ""
        return f"{name}: {lost[0]}{more} not in the DVC cache{remote}: {self._advice(name, sha)}"

    def _advice(self, name: str, sha: str) -> str:
        if name in self._experiments():
            return f"`dvc exp apply {name} && make study` makes them again"
        checkout = f"git checkout {name if name in self.names() else sha[:12]} && "
        if sha == self._scm.get_rev():
            checkout = ""
        if self._repo.config["remote"]:
            return f"`{checkout}dvc pull` gets them, or `{checkout}make study` makes them again"
        return f"`{checkout}make study` makes them again (or add a remote that has them)"
