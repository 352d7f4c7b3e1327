"""What DVC recorded of every stage that has run, in dvc.lock: read here alone."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from induction.config.plain_yaml import read_mapping
from induction.files import as_record
from induction.paths import StudyPaths

RESTORE = "`git checkout` it back"


class Entry(BaseModel):
    """A file or folder as DVC records it; `md5` of a folder ends in `.dir`, `size` is in bytes."""

    model_config = ConfigDict(frozen=True)

    path: str
    md5: str
    size: int = 0
    nfiles: int | None = None

    @property
    def is_code(self) -> bool:
        return self.path.startswith("src/")


class Stage(BaseModel):
    """One stage; `params` by file, then by key."""

    model_config = ConfigDict(frozen=True)

    cmd: str
    deps: tuple[Entry, ...] = ()
    outs: tuple[Entry, ...] = ()
    params: dict[str, dict[str, Any]] = {}

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of params.yaml: {"models.attn-2l": {…}}; `flatten` makes whole keys of it."""
        return self.params.get("params.yaml", {})


Stages = Mapping[str, Stage]


def load_stages(paths: StudyPaths) -> dict[str, Stage]:
    """The record of every stage; empty when there is none. StudyError says where it is damaged."""
    path = paths.stages_lock
    if not path.is_file():
        return {}
    stages = read_mapping(path).get("stages", {})
    return as_record(path, dict[str, Stage], stages, RESTORE)
