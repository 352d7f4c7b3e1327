"""Kinds of model: entries of the zoo that differ in nothing but their seed."""

import re
from collections.abc import Iterable, Mapping
from itertools import takewhile

from induction.config import ExternalModel, Model


def find_kinds(models: Mapping[str, Model | ExternalModel]) -> dict[str, tuple[str, ...]]:
    """The models of each kind in their order, by the name of the first.

    A model that others trained is a kind by itself: its seed is not known.
    """
    kinds: dict[Model | str, list[str]] = {}
    for name, entry in models.items():
        alike = entry.model_copy(update={"seed": 0}) if isinstance(entry, Model) else name
        kinds.setdefault(alike, []).append(name)
    return {names[0]: tuple(names) for names in kinds.values()}


def kind_label(names: Iterable[str]) -> str:
    """What the names of a kind's models have in common, without their seeds: attn-2l for
    attn-2l-s10 and attn-2l-s11. A model without a second seed keeps its name."""
    listed = list(names)
    if len(listed) == 1:
        return listed[0]
    letters = takewhile(lambda found: len(set(found)) == 1, zip(*listed, strict=False))
    common = "".join(found[0] for found in letters)
    return re.sub(r"-s?\d*$", "", common) or listed[0]


def seeds_asked(
    kinds: Mapping[str, tuple[str, ...]], models: Iterable[str]
) -> tuple[int, int] | None:
    """The least and the greatest number of seeds of the kinds that these models are of; None
    without models. Only seeds among the models count."""
    asked = set(models)
    counts = [n for names in kinds.values() if (n := len(asked.intersection(names)))]
    return (min(counts), max(counts)) if counts else None
