"""Which stages have to run, and what each of them waits for: DVC is asked once, in process."""

import json
import logging
from pathlib import Path

import networkx as nx
import psutil
from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo, lock_repo

from induction.errors import StudyError
from induction.paths import StudyPaths
from induction.runner.cache import delete_damaged

Needs = dict[str, frozenset[str]]


def stages_to_run(root: Path) -> tuple[Needs, list[str]]:
    """Every stage that is stale or downstream of a stale one, with those of them that it waits for.

    In the order of dvc.yaml. A stage downstream may turn out to be unchanged when its turn comes;
    DVC then skips it. If there is any, damaged objects of DVC's cache are deleted beforehand;
    their names come second.

    Raises StudyError when another dvc command is at work here, or DVC cannot read the pipeline or
    what lies in data/own.
    """
    _refuse_unreadable(StudyPaths(root))
    logging.getLogger("dvc").setLevel(logging.CRITICAL)  # no progress bars of its own
    try:
        with Repo(str(root)) as repo, lock_repo(repo):
            _clear_rwlock(Path(repo.tmp_dir or root) / "rwlock")
            changed = repo.status()
            cache, note = Path(repo.cache.local.path), StudyPaths(root).verified
            damaged = delete_damaged(cache, note) if changed else []
            stages = [stage for stage in repo.index.stages if stage.cmd]
            graph = repo.index.graph
            graph = nx.relabel_nodes(graph, {stage: stage.addressing for stage in graph})
    except LockError:
        raise StudyError(f"{root}: another dvc command is at work here: wait for it") from None
    except DvcException as error:
        problem = " ".join(str(error).split())
        raise StudyError(f"{root}: {problem}: `dvc status` may tell more") from None
    # An edge of DVC's graph leads from a stage to one that it depends on.
    stale = set(changed).union(*(nx.ancestors(graph, name) for name in changed))
    names = [stage.addressing for stage in stages if stage.addressing in stale]
    needs = {name: frozenset(graph.successors(name)).intersection(names) for name in names}
    return needs, damaged


def _refuse_unreadable(paths: StudyPaths) -> None:
    """DVC watches all of data/own, whatever corpus.files names, and ends in a traceback there."""
    for path in sorted(paths.own.rglob("*")):
        name = str(path.relative_to(paths.root))
        if name.encode(errors="ignore").decode() != name:
            raise StudyError(f"{ascii(name)[1:-1]}: its name is not UTF-8: rename it")
        if path.is_symlink() and not path.exists():
            raise StudyError(
                f"{name}: a link to nothing: remove it (Emacs has one beside a file that is not "
                "saved: save it)"
            )


def _clear_rwlock(path: Path) -> None:
    """Forget who had files of the study locked, unless a dvc command still has.

    A killed dvc leaves its entries, or half a file. DVC drops entries of dead processes itself,
    but not when their number has gone to another process by now, and it does not read half a file.

    Raises StudyError naming the dvc command that is at work.
    """
    try:
        locks = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError:
        path.unlink()
        return
    holders = list(locks.get("write", {}).values())
    for readers in locks.get("read", {}).values():
        holders += readers
    for holder in holders:
        if _is_dvc(holder["pid"]):
            raise StudyError(
                f"{path.parents[2]}: a dvc command (process {holder['pid']}) is at work here: "
                "wait for it to end, or stop it"
            )
    path.unlink()


def _is_dvc(pid: int) -> bool:
    try:
        return any("dvc" in Path(part).name for part in psutil.Process(pid).cmdline()[:4])
    except psutil.Error:
        return False
