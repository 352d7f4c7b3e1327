"""What is wrong with a parameter file, in one line: the key, the fault, what would be valid."""

import json
from difflib import get_close_matches
from typing import Any, get_args

from pydantic_core import ErrorDetails

from induction.config.sections import StudyConfig
from induction.config.types import Section

_PATTERNS = {
    "behaviours": "expected a language such as fr or pt_BR, and as file none or one of data/own/",
    "datasets": "use letters, digits, dots and hyphens; no capitals in its name here",
    "external": "use letters, digits and hyphens; capitals, dots and spaces in revisions alone",
    "models": "use lower-case letters, digits and hyphens, at most 40",
    "name": "use letters, digits, spaces, dots and hyphens, at most 60",
    "corpus": "expected a glob such as data/own/**/*.txt, of at most 500 characters",
}


def explain(error: ErrorDetails) -> str:
    """One line for a pydantic error: the key's path, what is wrong, what would be valid."""
    location = [part for part in error["loc"] if part != "[key]"]
    path = ".".join(str(part) for part in location) or "the file"
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{path}: {unknown(str(location[-1]), _known_keys(location[:-1]))}"
    if kind == "too_short" and path == "models":
        return "models: name at least one model"
    if kind == "missing" and isinstance(location[-1], int):
        return f"{path}: this list needs another value"
    if kind == "missing":
        return f"{path}: this key is missing"
    if kind == "string_pattern_mismatch":
        return f"{path}: {_PATTERNS[str(location[1] if 'datasets' in location else location[0])]}"
    message = error["msg"].removeprefix("Input should be ")
    found = json.dumps(error["input"])
    if len(found) > 60:
        found = found[:57] + "..."
    if kind == "literal_error":
        return f"{path}: expected {context['expected']}, found {found}"
    return f"{path}: expected {message}, found {found}"


def unknown(key: str, known: Any) -> str:
    close = get_close_matches(key, list(known), n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
    return f"unknown key: {hint}"


def _known_keys(location: list[int | str]) -> list[str]:
    """The valid keys of the section that a location leads to."""
    section: Any = StudyConfig
    for part in location:
        if isinstance(section, type) and issubclass(section, Section):
            section = section.model_fields[str(part)].annotation
        else:  # dict[ModelName, Model]
            section = get_args(section)[1]
    return list(section.model_fields)
