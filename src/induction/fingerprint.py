"""What a stage's result depends on, as one digest: the key under which unfinished work is kept.

dvc.yaml already lists the code, data and parameters of every stage, so this reads it there.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from induction.config.plain_yaml import read_yaml
from induction.environment import environment
from induction.errors import StudyError
from induction.files import MANIFEST, sha256
from induction.paths import StudyPaths

# DVC trains again with another number of processes, as the last bits of the weights depend on it.
# What was begun with one number can still go on with another: the manifest tells the last one. The
# same holds for GPUs, of which the same bits are not promised.
_MAY_CHANGE = frozenset({"compute.processes", "gpu"})


def fingerprint(paths: StudyPaths, stage: str, model: str) -> str:
    """SHA-256 over code, data, parameters and environment of a stage that runs once per model.

    The number of processes that share the work does not count, nor the kind of GPU: unfinished work
    may go on with another. Folders of data count by their manifest, which the stage itself
    verifies. Raises StudyError when dvc.yaml has no such stage or lists a file that is not there.
    """
    definition = read_yaml(paths.pipeline)["stages"].get(stage, {}).get("do")
    if definition is None:
        raise StudyError(f"{paths.pipeline}: has no stage {stage} for each model")
    filled = for_model(definition, model)
    parameters = read_yaml(paths.params)
    inputs = {
        "stage": f"{stage}@{model}",
        "deps": {name: _digest(paths.root / name) for name in filled.get("deps", [])},
        "params": {
            key: lookup(parameters, key)
            for key in filled.get("params", [])
            if key not in _MAY_CHANGE
        },
        "environment": {
            key: value for key, value in environment(paths.lock).items() if key not in _MAY_CHANGE
        },
    }
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def for_model(definition: Any, model: str) -> Any:
    """What dvc.yaml says of a stage that runs once per model, with the model's name in place."""
    text = json.dumps(definition)
    return json.loads(text.replace("${key}", model).replace("${item}", model))


def lookup(parameters: Any, key: str) -> Any:
    """The value of a key like llc.models."""
    for part in key.split("."):
        parameters = parameters[part]
    return parameters


def _digest(path: Path) -> str:
    if path.is_file():
        return sha256(path)
    if (path / MANIFEST).is_file():
        return sha256(path / MANIFEST)
    if not path.is_dir():
        raise StudyError(f"{path}: missing: `make study` makes it")
    code = sorted(
        file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts
    )
    parts = [f"{file.relative_to(path).as_posix()} {sha256(file)}" for file in code]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
