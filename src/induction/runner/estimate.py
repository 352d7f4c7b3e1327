"""How long stages take: from what they report, from the last run, from others of their group."""

import heapq
import json
from collections.abc import Iterable
from statistics import fmean
from typing import Any

from induction.paths import StudyPaths
from induction.runner.graph import Needs


def group(stage: str) -> str:
    """The name shared by stages of one entry of dvc.yaml: `train` for `train@attn-2l`."""
    return stage.partition("@")[0]


def duration_text(seconds: float) -> str:
    """Seconds for people: `8 s`, `2 min 05 s`, `1 h 20 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


class Durations:
    """Known durations of whole stages, in seconds."""

    def __init__(self, paths: StudyPaths, stages: Iterable[str]) -> None:
        self._known: dict[str, float] = {}
        for stage in stages:
            try:
                last = json.loads(paths.timing(stage).read_text(encoding="utf-8"))
                self.learn(stage, float(last["seconds"]))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # an estimate is never worth a failure

    def learn(self, stage: str, seconds: float) -> None:
        self._known[stage] = seconds

    def expected(self, stage: str) -> float | None:
        """The stage's own last duration, else the mean of its group, else None."""
        if stage in self._known:
            return self._known[stage]
        kin = [seconds for other, seconds in self._known.items() if group(other) == group(stage)]
        return fmean(kin) if kin else None


class Pace:
    """Turns the progress messages of one running stage into a fraction and a time left."""

    def __init__(self) -> None:
        self.fraction: float | None = None
        self.remark = ""
        self._task: tuple[Any, Any] | None = None
        self._first = self._last = (0.0, 0.0)

    def update(self, message: dict[str, Any] | None, now: float) -> None:
        """Take in a message; `now` is a monotonic time in seconds."""
        if not message or not message["total"]:
            return
        done, task = message["done"], (message["total"], message["unit"])
        if task != self._task or done < self._last[1]:  # a stage may have several loops
            self._task = task
            self._first = self._last = (now, done)
        elif done != self._last[1]:
            self._last = (now, done)
        self.fraction = min(1.0, done / message["total"])
        self.remark = " ".join(str(message["remark"]).split())

    def seconds_left(self, now: float) -> float | None:
        """None before the first two messages, which give the rate."""
        (start, before), (end, done) = self._first, self._last
        if self._task is None or done <= before or end <= start:
            return None
        rate = (done - before) / (end - start)
        return max(0.0, (self._task[0] - done) / rate - (now - end))


def seconds_left(
    needs: Needs,
    running: dict[str, float],
    waiting: Iterable[str],
    seconds: dict[str, float],
    jobs: int,
) -> float:
    """When the last stage ends, if stages start in the order of `waiting` as soon as they can.

    `running` holds the seconds left of those, `seconds` the durations of those waiting.
    """
    now, ends = 0.0, [(left, stage) for stage, left in running.items()]
    heapq.heapify(ends)
    queue = list(waiting)
    while ends or queue:
        unfinished = {stage for _, stage in ends}.union(queue)
        for stage in [stage for stage in queue if not needs[stage] & unfinished]:
            if len(ends) < jobs:
                queue.remove(stage)
                heapq.heappush(ends, (now + seconds[stage], stage))
        if not ends:
            break
        now = max(now, heapq.heappop(ends)[0])
    return now
