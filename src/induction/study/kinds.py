"""Kinds of model: entries of the zoo that differ in nothing but their seed."""

from collections.abc import Iterable, Mapping

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


def seeds_asked(
    kinds: Mapping[str, tuple[str, ...]], models: Iterable[str]
) -> tuple[int, int] | None:
    """The least and the greatest number of seeds of the kinds that these models are of; None
    without models. Only seeds among the models count."""
    asked = set(models)
    counts = [n for names in kinds.values() if (n := len(asked.intersection(names)))]
    return (min(counts), max(counts)) if counts else None
