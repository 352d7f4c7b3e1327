"""The resumable loop over snapshots that measure and ablate share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl

from induction.environment import environment
from induction.files import read_json, write_json
from induction.fingerprint import fingerprint
from induction.model.interface import Measurable
from induction.model.weights import Snapshot
from induction.paths import StudyPaths
from induction.progress import Report, Tell, progress
from induction.resume import resumable_folder

_ARRAYS = "losses.npz"
_COUNT = "count.json"


@dataclass
class Rows:
    """What is found in each snapshot, in the order of training.

    arrays: a dict of arrays for each snapshot, the same keys and shapes in all; stacked on disk
    into losses.npz. tables: by name, a table for each snapshot; on disk NAME.parquet.
    """

    arrays: list[dict[str, np.ndarray]] = field(default_factory=list)
    tables: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    count: int = 0

    def append(self, arrays: dict[str, np.ndarray], tables: dict[str, pl.DataFrame]) -> None:
        if arrays:
            self.arrays.append(arrays)
        for name, table in tables.items():
            self.tables.setdefault(name, []).append(table)
        self.count += 1

    def write(self, folder: Path) -> None:
        if self.arrays:
            stacked = {key: np.stack([row[key] for row in self.arrays]) for key in self.arrays[0]}
            np.savez(folder / _ARRAYS, allow_pickle=False, **stacked)
        for name, parts in self.tables.items():
            # In one piece, so that the bytes do not tell where the work was interrupted.
            pl.concat(parts, rechunk=True).write_parquet(folder / f"{name}.parquet")

    def save(self, folder: Path) -> None:
        """Write what a later run needs to go on."""
        self.write(folder)
        # Counted, since a table may be without rows: where there is no set of heads to take out.
        write_json(folder / _COUNT, self.count)

    def read(self, folder: Path) -> None:
        """Take up what an earlier run saved."""
        self.count = read_json(folder / _COUNT)
        self.tables = {path.stem: [pl.read_parquet(path)] for path in folder.glob("*.parquet")}
        if (folder / _ARRAYS).is_file():
            with np.load(folder / _ARRAYS) as stacked:
                whole = {key: stacked[key] for key in stacked.files}
            self.arrays = [
                {key: values[row] for key, values in whole.items()} for row in range(self.count)
            ]


Load = Callable[[Snapshot], Measurable]
Work = Callable[[Snapshot, Measurable, Tell], tuple[dict[str, np.ndarray], dict[str, pl.DataFrame]]]
"""Arrays and tables of one snapshot; the tables have a column `step`."""


def over_snapshots(
    paths: StudyPaths,
    stage: str,
    target: Path,
    snapshots: Sequence[Snapshot],
    load: Load,
    work: Work,
) -> None:
    """Apply `work` to each snapshot, one in memory at a time, and publish all rows as `target`.

    Killed, the next run with the same inputs goes on after the last state that was saved.
    """
    key = fingerprint(paths, stage, target.name)
    about = {"environment": environment(paths.lock)}
    rows = Rows()
    with (
        resumable_folder(target, paths.scratch, key, about) as folder,
        progress(len(snapshots), "snapshots") as report,
    ):
        if folder.finished:
            print(f"{target.name}: an earlier run finished it")
            return
        if folder.restore(rows.read):
            print(f"{target.name}: going on after {rows.count} of {len(snapshots)} snapshots")
        for snapshot in snapshots[rows.count :]:
            remark = f"step {snapshot.step}"
            rows.append(*work(snapshot, load(snapshot), _within(report, rows.count, remark)))
            folder.save_now_and_then(rows.save)
            report(rows.count, remark)
        rows.write(folder.output)


def _within(report: Report, before: int, remark: str) -> Tell:
    return lambda share: report(before + share, remark)
