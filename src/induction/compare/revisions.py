"""From what a user calls a run (workspace, published, a revision, an experiment) to its files."""

import shutil
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from induction.compare.history import History
from induction.errors import StudyError
from induction.files import write_json
from induction.git import git
from induction.paths import StudyPaths
from induction.runs.dvc_lock import load_stages
from induction.runs.layout import (
    ABOUT,
    measured_files,
    published_folders,
    small_files,
)
from induction.runs.run import entries_of, load_params

WORKSPACE, PUBLISHED = "workspace", "published"


@dataclass(frozen=True)
class Commit:
    """A commit of this repository: hash, and day as 2026-01-31."""

    sha: str
    date: str

    @property
    def short(self) -> str:
        return self.sha[:12]


def lay_out(paths: StudyPaths, name: str) -> Path:
    """The folder that holds a run's files, laid out like a checkout, made where there is none.

    name: `workspace`, `published`, `published:NAME`, or whatever git or DVC resolve to a commit.
    Raises StudyError for a name that is none of these, with names that come near, and for a
    revision whose results are neither here nor in a remote.
    """
    if name == WORKSPACE:
        return _copy_workspace(paths)
    if name == PUBLISHED or name.startswith(f"{PUBLISHED}:"):
        return _published(paths, name)
    with closing(History(paths.root)) as history:
        sha = history.resolve(name)
        if sha is None:
            known = [WORKSPACE, "HEAD", *_published_names(paths), *history.names()]
            raise StudyError(f"{name}: {_no_such_run(name, known)}")
        target = _empty(paths.compared / sha)
        commit = Commit(sha, history.date(sha))
        label = f"{name} ({commit.short})" if not sha.startswith(name) else commit.short
        left_out = history.write_files(name, sha, target)
        _write_about(target, label, commit, exact=True, left_out=left_out)
        return target


def copy_run(paths: StudyPaths, target: Path, with_losses: bool) -> None:
    """Copy the files of the checkout that make a run and are there into an empty folder."""
    models = entries_of(load_params(paths.params))
    wanted = small_files(paths, models, load_stages(paths))
    if with_losses:
        wanted += [path for model in models for path in measured_files(paths, model)]
    for path in wanted:
        if path.is_file():
            copy = target / path.relative_to(paths.root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)


def _copy_workspace(paths: StudyPaths) -> Path:
    target = _empty(paths.compared / WORKSPACE)
    copy_run(paths, target, with_losses=True)
    _write_about(target, WORKSPACE, head(paths), exact=False)
    return target


def write_published(paths: StudyPaths, target: Path, name: str) -> None:
    """Copy the small files of the checkout into an empty folder, as `published:NAME`."""
    copy_run(paths, target, with_losses=False)
    _write_about(target, f"{PUBLISHED}:{name}", head(paths), exact=False)


def head(paths: StudyPaths) -> Commit | None:
    """The commit that is checked out; None outside a git repository."""
    shown = git(paths.root, "show", "--no-patch", "--format=%H %cs", "HEAD")
    return Commit(*shown.split()) if shown else None


def _published(paths: StudyPaths, name: str) -> Path:
    known = _published_names(paths)
    if name == PUBLISHED and len(known) > 1:
        # The one of the parameters at hand: `laptop`, where those are the laptop study's.
        name = f"{PUBLISHED}:{load_params(paths.params).get('name')}"
        if name not in known:
            raise StudyError(f"{PUBLISHED}: say which: {', '.join(known)}")
    elif name == PUBLISHED and known:
        name = known[0]
    if name not in known:
        raise StudyError(f"{name}: {_no_such_run(name, known)}")
    return paths.published_runs / name.removeprefix(f"{PUBLISHED}:")


def _published_names(paths: StudyPaths) -> list[str]:
    return [f"{PUBLISHED}:{name}" for name in published_folders(paths)]


def _no_such_run(name: str, known: Iterable[str]) -> str:
    known = list(dict.fromkeys(known))
    if not known:
        return "nothing is published yet: `make publish NAME=…` does it"
    near = get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known[:12])}"
    return f"no git revision, experiment or published run of this name: {hint}"


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def _write_about(
    folder: Path, label: str, commit: Commit | None, exact: bool, left_out: Iterable[str] = ()
) -> None:
    about = {
        "label": label,
        "commit": commit and commit.sha,
        "date": commit and commit.date,
        "exact": exact,
        "left_out": list(left_out),
    }
    write_json(folder / ABOUT, about)
