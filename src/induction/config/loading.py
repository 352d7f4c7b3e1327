"""The only reader of params.yaml."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from induction.config.combinations import impossible
from induction.config.complaints import explain, unknown
from induction.config.models import ExternalModel, Model
from induction.config.plain_yaml import read_yaml
from induction.config.sections import StudyConfig
from induction.errors import StudyError


def load_config(path: Path) -> StudyConfig:
    """Read and check a parameter file.

    Raises StudyError, in one line, with the path of the first key that is unknown, missing, of a
    wrong type, out of range, or that cannot be combined with another.
    """
    values = _with_whole_numbers(read_yaml(path))
    try:
        config = StudyConfig.model_validate_json(json.dumps(values))
    except ValidationError as error:
        # A misspelt key is both unknown and missing: the first says more.
        errors = sorted(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        raise StudyError(f"{path.name}: {explain(errors[0])}") from None
    except ValueError as error:  # a whole number of thousands of digits
        raise StudyError(f"{path.name}: {error}") from None
    for key, problem in impossible(config):
        raise StudyError(f"{path.name}: {key}: {problem}")
    return config


def _with_whole_numbers(value: Any) -> Any:
    """2e7 as 20000000: a whole number is one however it is written, and serves as a float too."""
    if isinstance(value, dict):
        return {key: _with_whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_whole_numbers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def model_config(config: StudyConfig, name: str) -> Model:
    """The entry of one model; StudyError names the nearest one when there is none."""
    if name not in config.models:
        raise StudyError(f"params.yaml: models.{name}: {unknown(name, config.models)}")
    return config.models[name]


def external_config(config: StudyConfig, name: str) -> ExternalModel:
    """The entry of one external model; StudyError names the nearest one when there is none."""
    if name not in config.external:
        raise StudyError(f"params.yaml: external.{name}: {unknown(name, config.external)}")
    return config.external[name]
