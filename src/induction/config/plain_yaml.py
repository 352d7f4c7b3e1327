"""The YAML files of a study: plain values of a bounded size, and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError

from induction.errors import StudyError

_MAX_BYTES = 10_000_000
_MAX_VALUES = 500_000
_MAX_DEPTH = 20
_HALF_CHARACTER = re.compile("[\ud800-\udfff]")  # YAML can write one, UTF-8 cannot


def read_yaml(path: Path) -> Any:
    """The values of a file: numbers, text, lists, and mappings with text for keys.

    Raises StudyError, in one line with the place, for anything else: no valid YAML, tags that ask
    for Python objects, far too many values or levels.
    """
    if not path.is_file():
        raise StudyError(f"{path}: no such file")
    if (size := path.stat().st_size) > _MAX_BYTES:
        raise StudyError(f"{path.name}: {size:,} bytes: at most {_MAX_BYTES:,} are read")
    try:
        values = YAML(typ="safe").load(path)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise StudyError(f"{path.name}: {where}not valid YAML: {error.problem}") from None
    except Exception as error:  # on odd text, ruamel raises more than its own errors
        raise StudyError(f"{path.name}: not valid YAML: {error or type(error).__name__}") from None
    _check_plain(path.name, values, "", 0, iter(range(_MAX_VALUES)))
    return values


def read_mapping(path: Path) -> dict[str, Any]:
    """The same of a file that has keys at its top; StudyError for any other."""
    values = read_yaml(path)
    if not isinstance(values, dict):
        raise StudyError(f"{path}: no mapping of keys to values")
    return values


def _check_plain(name: str, value: Any, place: str, depth: int, numbers: Iterator[int]) -> None:
    """StudyError for what JSON does not know, and for what references (*) make large or endless."""
    where = f"{name}: {place or 'the file'}"
    if next(numbers, None) is None:
        raise StudyError(f"{where}: more than {_MAX_VALUES:,} values, references (*) included")
    if depth > _MAX_DEPTH:
        raise StudyError(f"{where}: nested deeper than {_MAX_DEPTH} levels")
    texts = list(value) if isinstance(value, dict) else [value]
    if any(isinstance(text, str) and _HALF_CHARACTER.search(text) for text in texts):
        raise StudyError(f"{where}: text with half a character, such as \\ud800")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise StudyError(f"{where}: the key {key} is not text: put it in quotes")
            _check_plain(name, item, f"{place}.{key}".lstrip("."), depth + 1, numbers)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            _check_plain(name, item, f"{place}.{number}", depth + 1, numbers)
    elif not isinstance(value, str | int | float | None):
        raise StudyError(
            f"{where}: only numbers, text, lists and mappings, found a {type(value).__name__}"
        )
