"""Parameters as flat keys, and those in which two runs differ."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ABSENT = object()


@dataclass(frozen=True)
class Difference:
    """One key with its value in A and in B; ABSENT where a run does not have it."""

    key: str
    a: Any
    b: Any


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} → {"a.b": 1}; lists are values."""
    flat = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Difference]:
    """Keys that differ, in the order of A and then of B. 1 and 1.0 are the same, 1 and true not."""
    flat_a, flat_b = flatten(a), flatten(b)
    found = []
    for key in flat_a | flat_b:
        left, right = flat_a.get(key, ABSENT), flat_b.get(key, ABSENT)
        if not same(left, right):
            found.append(Difference(key, left, right))
    return found


def same(left: Any, right: Any) -> bool:
    return left == right and isinstance(left, bool) == isinstance(right, bool)


def value_text(value: Any) -> str:
    """As it would stand in params.yaml; a dash for what is not there."""
    if value is ABSENT:
        return "–"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
