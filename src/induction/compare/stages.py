"""What re-ran between two runs, and why: read from what DVC recorded of each stage."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Literal

from induction.files import md5
from induction.runs.dvc_lock import Entry, Stage, Stages
from induction.runs.parameters import ABSENT, differences, flatten, same
from induction.runs.run import Run

Outcome = Literal["same outputs", "other outputs", "only in A", "only in B"]

_TIMINGS = "data/timings/"  # differ from run to run


@dataclass(frozen=True)
class Rerun:
    """A stage that is not the same in both runs, and what made it run again.

    parameters: keys; code: files and folders of code; data: paths that the user supplies;
    upstream: stages whose outputs it reads and that gave other ones.
    """

    stage: str
    outcome: Outcome
    parameters: tuple[str, ...] = ()
    code: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """train@attn-2l → train."""
        return self.stage.partition("@")[0]

    @property
    def model(self) -> str:
        """train@attn-2l → attn-2l; nothing for stages that are not of one model."""
        return self.stage.partition("@")[2]


def reruns(a: Stages, b: Stages) -> list[Rerun]:
    """Stages that differ in what they depend on or in what they made, in the order of work."""
    found = []
    for stage in dict.fromkeys([*_in_order(b), *a]):
        if stage not in a or stage not in b:
            found.append(Rerun(stage, "only in B" if stage in b else "only in A"))
        elif (rerun := _compare(stage, a, b)) is not None:
            found.append(rerun)
    return found


def _compare(stage: str, a: Stages, b: Stages) -> Rerun | None:
    outputs_differ = bool(_changed(_outputs(a[stage]), _outputs(b[stage])))
    inputs = _changed(_hashes(a[stage].deps), _hashes(b[stage].deps))
    inputs = [path for path in inputs if not path.startswith(_TIMINGS.rstrip("/"))]
    keys = [d.key for d in differences(a[stage].parameters, b[stage].parameters)]
    code = [path for path in inputs if not path.startswith("data/")]
    if a[stage].cmd != b[stage].cmd:
        code.append("the command")
    data, upstream = [], []
    for path in inputs:
        if path not in code:
            makers = _makers(path, a) | _makers(path, b)
            upstream += [maker for maker in makers if _gave_other(maker, path, a, b)]
            data += [] if makers else [path]
    if not (outputs_differ or inputs or keys or code):
        return None
    return Rerun(
        stage,
        "other outputs" if outputs_differ else "same outputs",
        tuple(keys),
        tuple(code),
        tuple(data),
        tuple(dict.fromkeys(upstream)),
    )


@dataclass(frozen=True)
class Outdated:
    """What says that results do not belong to `params.yaml`; false when nothing does.

    parameters: keys with another value than DVC recorded; files: results with another hash;
    models: entries without results.
    """

    parameters: tuple[str, ...]
    files: tuple[str, ...]
    models: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.parameters or self.files or self.models)


def outdated(run: Run) -> Outdated:
    """Compare a run's parameters and results with DVC's record of the stages behind them.

    It takes no look at the code: `dvc status` does.
    """
    present = flatten(run.params)
    keys: list[str] = []
    files: list[str] = []
    folder = run.paths.results.relative_to(run.paths.root).as_posix()
    for stage in makers_of(run.stages, [folder]):
        model = stage.partition("@")[2]
        if model and model not in run.entries:
            continue  # DVC keeps its record of an entry that is gone
        recorded = flatten(run.stages[stage].parameters)
        keys += [key for key, value in recorded.items() if not same(present.get(key), value)]
        for path, recorded_md5 in _hashes(run.stages[stage].outs).items():
            file = run.paths.root / path
            if file.parent == run.paths.results and file.is_file() and md5(file) != recorded_md5:
                files.append(path)
    models = [name for name in run.entries if name not in run.metrics]
    return Outdated(tuple(dict.fromkeys(keys)), tuple(files), tuple(models))


def makers_of(stages: Stages, wanted: Iterable[str]) -> list[str]:
    """The stages that some paths come from, directly or through others, in the order given."""
    waiting, seen = list(wanted), set()
    while waiting:
        for stage in _makers(waiting.pop(), stages) - seen:
            seen.add(stage)
            waiting += _hashes(stages[stage].deps)
    return [stage for stage in stages if stage in seen]


def _in_order(stages: Stages) -> list[str]:
    """Each stage after those whose outputs it reads: the record has them as they were first run."""
    upstream = {
        name: {maker for path in _hashes(stage.deps) for maker in _makers(path, stages)}
        for name, stage in stages.items()
    }
    try:
        return list(TopologicalSorter(upstream).static_order())
    except CycleError:  # with entries left over from stages that have another name now
        return list(stages)


def _makers(path: str, stages: Stages) -> set[str]:
    """Stages with an output that is the path, holds it or lies in it."""
    return {
        name
        for name, stage in stages.items()
        if any(_overlap(path, out) for out in _outputs(stage))
    }


def _gave_other(maker: str, path: str, a: Stages, b: Stages) -> bool:
    """Whether the outputs of a stage that lie at a path differ between the runs."""
    before, after = (_outputs(stages[maker]) if maker in stages else {} for stages in (a, b))
    return any(_overlap(path, changed) for changed in _changed(before, after))


def _overlap(one: str, other: str) -> bool:
    return one == other or one.startswith(f"{other}/") or other.startswith(f"{one}/")


def _outputs(stage: Stage) -> dict[str, str]:
    return {path: md5 for path, md5 in _hashes(stage.outs).items() if not path.startswith(_TIMINGS)}


def _hashes(entries: Iterable[Entry]) -> dict[str, str]:
    return {entry.path: entry.md5 for entry in entries}


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    return [
        path
        for path in dict.fromkeys([*after, *before])
        if before.get(path, ABSENT) != after.get(path, ABSENT)
    ]
