"""Where stages run: one interface, and a back end for this machine and for a Ray cluster."""

from collections.abc import Collection
from typing import Protocol

from induction.config import StudyConfig
from induction.errors import StudyError
from induction.paths import StudyPaths
from induction.runner.cluster import Cluster
from induction.runner.local import Local, StageProcess

NAMES = ("local", "ray")


class Executor(Protocol):
    """A place for stages. DVC runs on this machine whatever the place: its record is one."""

    def prepare(self, stages: Collection[str]) -> int:
        """Make ready for these stages; returns how many of them can run at a time.

        Raises StudyError when the place is not there, or not fit for one of them.
        """
        ...

    def places(self, stage: str) -> int:
        """For how many of these a stage counts."""
        ...

    def start(self, stage: str) -> StageProcess:
        """Start one stage: the `dvc repro` that runs its command there and records it here."""
        ...


def make_executor(
    name: str, address: str | None, paths: StudyPaths, config: StudyConfig
) -> Executor:
    """The back end of a name; StudyError for an address where none is used."""
    if name == "ray":
        return Cluster(address or "auto", paths, config)
    if address is not None:
        raise StudyError(f"address {address}: stages run on this machine: say EXECUTOR=ray too")
    return Local(paths, config)
