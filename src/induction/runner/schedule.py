"""Starts stages as soon as what they wait for is done, and keeps account of where each one is."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from induction.runner.estimate import Durations, Pace, group, seconds_left
from induction.runner.graph import Needs
from induction.runner.local import StageProcess, stop

_SECONDS_BETWEEN_LOOKS = 0.1
_SECONDS_BEFORE_NEXT_TRY = 5.0


@dataclass
class Running:
    process: StageProcess
    pace: Pace = field(default_factory=Pace)

    def elapsed(self) -> float:
        return time.monotonic() - self.process.started


class Display(Protocol):
    """What the schedule tells the person at the terminal."""

    def started(self, stage: str) -> None: ...
    def finished(self, stage: str, seconds: float, note: str | None) -> None: ...
    def failed(self, stage: str, seconds: float, process: StageProcess) -> None: ...
    def held_up(self, stage: str) -> None: ...
    def refresh(self, schedule: "Schedule") -> None: ...
    def stopping(self, stages: list[str]) -> None: ...


class Schedule:
    """One run of the study: what waits, runs, is done, has failed."""

    def __init__(
        self,
        needs: Needs,
        jobs: int,
        durations: Durations,
        places: Callable[[str], int] = lambda stage: 1,
    ) -> None:
        """jobs: how many stages run at a time; places: how many of them a stage counts for."""
        self.needs = needs
        self.jobs = jobs
        self._places = places
        self.started = time.monotonic()
        self.running: dict[str, Running] = {}
        self.done: set[str] = set()
        self.seconds: dict[str, float] = {}  # of the stages whose commands ran
        self.failed: dict[str, StageProcess] = {}
        self.blocked: list[str] = []  # what needs, at whatever distance, a failed stage
        self._held_up: dict[str, float] = {}  # by another dvc command; when to try again
        self._durations = durations
        # Earlier groups of dvc.yaml first; inside a group the longest first, to end together.
        groups = list(dict.fromkeys(map(group, needs)))
        self.waiting = sorted(
            needs, key=lambda stage: (groups.index(group(stage)), -(self.expected(stage) or 0.0))
        )

    def run(
        self,
        launch: Callable[[str], StageProcess],
        display: Display,
        interrupts: Callable[[], int],
    ) -> None:
        """Run until nothing can run any more, or `interrupts` counts one.

        No stage is left running, whichever way this ends.
        """
        try:
            while not interrupts():
                self._collect(display)
                for stage in self._ready():
                    if not self.running or self._taken() + self._places(stage) <= self.jobs:
                        self.waiting.remove(stage)
                        self.running[stage] = Running(launch(stage))
                        if stage not in self._held_up:
                            display.started(stage)
                if not self.running and not self._held_up.keys() & set(self.waiting):
                    return
                display.refresh(self)
                time.sleep(_SECONDS_BETWEEN_LOOKS)
            if self.running:
                display.stopping(list(self.running))
        finally:
            stop((one.process for one in self.running.values()), lambda: interrupts() > 1)

    def _taken(self) -> int:
        return sum(map(self._places, self.running))

    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def expected(self, stage: str) -> float | None:
        """Seconds that the stage takes from start to end, as far as that is known."""
        return self._durations.expected(stage)

    def stage_left(self, stage: str) -> float | None:
        """Seconds that a running stage still needs, or None when nothing tells."""
        one = self.running[stage]
        left = one.pace.seconds_left(time.monotonic())
        if left is None and (expected := self.expected(stage)) is not None:
            left = max(0.0, expected - one.elapsed())
        return left

    def left(self) -> tuple[float, bool]:
        """Seconds until all is done, and whether that counts every stage."""
        running = {stage: self.stage_left(stage) for stage in self.running}
        waiting = {stage: self.expected(stage) for stage in self.waiting}
        known = {stage: left or 0.0 for stage, left in (running | waiting).items()}
        seconds = seconds_left(
            self.needs, {stage: known[stage] for stage in running}, self.waiting, known, self.jobs
        )
        return seconds, None not in (running | waiting).values()

    def _ready(self) -> list[str]:
        now = time.monotonic()
        free = (stage for stage in self.waiting if self._held_up.get(stage, now) <= now)
        return [stage for stage in free if self.needs[stage] <= self.done]

    def _collect(self, display: Display) -> None:
        """Take in what running stages report, and those that have ended."""
        now = time.monotonic()
        for stage, one in list(self.running.items()):
            one.pace.update(one.process.report(), now)
            left = one.pace.seconds_left(now)
            if left is not None:  # a stage under way tells about those of its group to come
                self._durations.learn(stage, one.elapsed() + left)
            status = one.process.poll()
            if status is None:
                continue
            del self.running[stage]
            if status == 0:
                self.done.add(stage)
                note = one.process.skipped()
                if note is None:
                    self.seconds[stage] = one.elapsed()
                    self._durations.learn(stage, one.elapsed())
                display.finished(stage, one.elapsed(), note)
            elif one.process.held_up():
                if stage not in self._held_up:
                    display.held_up(stage)
                self._held_up[stage] = now + _SECONDS_BEFORE_NEXT_TRY
                self.waiting.insert(0, stage)
            else:
                one.process.kill()  # it may have lost its supervisor
                self.failed[stage] = one.process
                self._block()
                display.failed(stage, one.elapsed(), one.process)

    def _block(self) -> None:
        """Give up the waiting stages that can never start."""
        out_of_reach = {*self.failed, *self.blocked}
        while newly := [stage for stage in self.waiting if self.needs[stage] & out_of_reach]:
            self.blocked += newly
            out_of_reach.update(newly)
            self.waiting = [stage for stage in self.waiting if stage not in out_of_reach]
