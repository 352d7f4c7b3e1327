"""`python -m induction.compare.publish NAME`: keep the small results of this run in git."""

import os
import re
import sys

from induction.compare.revisions import write_published
from induction.compare.stages import makers_of, outdated
from induction.errors import StudyError, ends_in_one_line
from induction.files import published_folder
from induction.git import git
from induction.paths import StudyPaths, find_study
from induction.runner.graph import stages_to_run
from induction.runs.dvc_lock import load_stages
from induction.runs.layout import small_files
from induction.runs.run import entries_of, load_params, load_run

USAGE = "usage: make publish NAME=laptop (lower-case letters, digits and hyphens)"


def main(arguments: list[str]) -> int:
    """Publish the run of the checkout. The exit status is 0, or 2 without a name for it."""
    if len(arguments) != 1 or not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}", arguments[0]):
        print(USAGE, file=sys.stderr)
        return 2
    paths = find_study()
    size = publish(paths, arguments[0])
    folder = os.path.relpath(paths.published_runs / arguments[0])
    print(f"{folder}: {size / 1000:.0f} kB; commit it, then `make compare A=published` works")
    return 0


def publish(paths: StudyPaths, name: str) -> int:
    """Copy the small results into data/published/NAME; returns their size in bytes.

    Raises StudyError when parameters are not committed, when a file is missing, and when the
    results are behind the parameters, the code or the data. A run that was published under this
    name before stays as it is then.
    """
    _refuse_uncommitted_parameters(paths)
    models, stages = entries_of(load_params(paths.params)), load_stages(paths)
    files = small_files(paths, models, stages)
    if stale := _stale(paths):
        raise StudyError(f"results are behind ({', '.join(stale[:4])}): run `make study` first")
    if missing := [p for p in files if not p.is_file() and p.parent != paths.timings]:
        raise StudyError(f"{missing[0]}: missing: run `make study` first")
    target = paths.published_runs / name
    with published_folder(target, paths.scratch) as folder:
        write_published(paths, folder, name)
    load_run(target)
    return sum(path.stat().st_size for path in target.rglob("*") if path.is_file())


def _refuse_uncommitted_parameters(paths: StudyPaths) -> None:
    if git(paths.root, "diff", "--quiet", "HEAD", "--", str(paths.params)) is None:
        raise StudyError(f"{paths.params}: not as committed: commit it first, or restore it")


def _stale(paths: StudyPaths) -> list[str]:
    """Stages behind the small results that would run again, and what DVC did not record."""
    folders = {path.relative_to(paths.root).as_posix() for path in (paths.results, paths.tokens)}
    makers = makers_of(load_stages(paths), folders)
    found = outdated(load_run(paths.root))
    # From another folder than the root, DVC puts the way to dvc.yaml before a stage's name.
    needs, _ = stages_to_run(paths.root)
    waiting = [stage.rpartition(":")[2] for stage in needs]
    stale = [stage for stage in waiting if stage in makers]
    return stale or [*found.parameters, *found.files, *found.models]


if __name__ == "__main__":
    with ends_in_one_line("publish"):
        sys.exit(main(sys.argv[1:]))
