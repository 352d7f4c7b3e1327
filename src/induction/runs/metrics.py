"""Metrics of both runs side by side, and whether they differ beyond their intervals."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from induction.rules.intervals import Interval
from induction.runs.run import Run
from induction.study.kinds import find_kinds

Unit = Literal["tokens", "nats", "e-folds", "%", "heads", ""]
Mark = Literal["same", "within", "beyond", "appears", "vanishes", "no interval", "one run"]


@dataclass(frozen=True)
class Metric:
    """What a metric is called, and in what it is counted."""

    label: str
    unit: Unit


# In the order of the tables; metrics that are not here follow under their own names.
METRICS = {
    "onset_tokens": Metric("onset", "tokens"),
    "heads_formed_tokens": Metric("heads formed", "tokens"),
    "lag": Metric("lag of heads", "e-folds"),
    "bump_tokens": Metric("loss bump", "tokens"),
    "icl_score": Metric("ICL score", "nats"),
    "loss": Metric("loss", "nats"),
    "loss_per_character": Metric("loss per character", "nats"),
    "max_prefix_matching": Metric("prefix matching", ""),
    "max_previous_token": Metric("previous token", ""),
    "n_induction_heads": Metric("induction heads", "heads"),
    "icl_removed_by_induction_heads": Metric("ICL gain lost without induction heads", "%"),
    "icl_removed_by_random_heads": Metric("ICL gain lost without random heads", "%"),
}


def metric(name: str) -> Metric:
    """That of a name, also of one that only another version of the study knows."""
    return METRICS.get(name) or Metric(name.replace("_", " "), "")


# Units that a number does not show itself.
_TOLD = ("tokens", "nats", "e-folds")
# What outweighs what, where one word must do for several metrics.
CLEAR: tuple[Mark, ...] = ("beyond", "appears", "vanishes")


@dataclass(frozen=True)
class Row:
    """One metric of one model in both runs; None where a run has no value or no interval."""

    model: str
    metric: str
    a: float | None
    b: float | None
    interval_a: Interval | None
    interval_b: Interval | None
    mark: Mark

    @property
    def label(self) -> str:
        found = metric(self.metric)
        return found.label + (f" ({found.unit})" if found.unit in _TOLD else "")

    @property
    def change(self) -> float | None:
        return None if self.a is None or self.b is None else self.b - self.a

    @property
    def clear(self) -> bool:
        """The two values differ by more than their intervals leave open."""
        return self.mark in CLEAR


def rows(a: Run, b: Run) -> list[Row]:
    """Every metric of every model that either run has a value for, in the order of B's models."""
    models = dict.fromkeys([*b.metrics, *a.metrics])
    found = []
    for model in models:
        in_a, in_b = a.metrics.get(model, {}), b.metrics.get(model, {})
        both = model in a.metrics and model in b.metrics
        for metric in _metrics(in_a, in_b):
            left, right = in_a.get(metric), in_b.get(metric)
            if left is None and right is None:
                continue
            if both and not (metric in in_a and metric in in_b):
                continue  # a metric that one of the two revisions does not know
            ends = a.interval(model, metric), b.interval(model, metric)
            kind = judge(left, right, *ends) if both else "one run"
            found.append(Row(model, metric, left, right, *ends, kind))
    return found


def judge(
    a: float | None, b: float | None, interval_a: Interval | None, interval_b: Interval | None
) -> Mark:
    """Whether two values differ: beyond their intervals when these have no point in common.

    That is a strict test: two estimates whose 95 % intervals just touch differ at about the 0.6 %
    level. Not the other way round: overlapping intervals do not make two values equal.
    """
    if a is None or b is None:
        return "same" if a is b else "appears" if a is None else "vanishes"
    if a == b:
        return "same"
    if interval_a is None or interval_b is None:
        return "no interval"
    apart = interval_a[1] < interval_b[0] or interval_b[1] < interval_a[0]
    return "beyond" if apart else "within"


@dataclass(frozen=True)
class SeedSpread:
    """How far models lie apart that differ in nothing but their seed.

    spreads: distance from the smallest to the greatest value, by metric; None where not all of
    them have one.
    """

    run: str
    models: tuple[str, ...]
    spreads: Mapping[str, float | None]


def seed_spreads(run: Run, name: str) -> list[SeedSpread]:
    """The groups of models of a run that differ in their seed alone. name: A, B or both."""
    known = {model: entry for model, entry in run.models.items() if model in run.metrics}
    found = []
    for models in find_kinds(known).values():
        if len({run.entries[model].get("seed") for model in models}) > 1:
            table = [run.metrics[model] for model in models]
            spreads = {metric: _spread(metric, table) for metric in _metrics(*table)}
            found.append(SeedSpread(name, models, spreads))
    return found


def _spread(metric: str, table: Iterable[Mapping]) -> float | None:
    values = [row.get(metric) for row in table]
    known = [float(value) for value in values if value is not None]
    return max(known) - min(known) if len(known) == len(values) else None


def yardstick(spreads: Iterable[SeedSpread], metric: str) -> float | None:
    """The greatest distance that seeds alone make; None where no two seeds have the metric."""
    known = [own.spreads.get(metric) for own in spreads]
    return max((value for value in known if value is not None), default=None)


def _metrics(*table: Mapping) -> list[str]:
    """Names of what is a number in any row, in the order of METRICS."""
    names = dict.fromkeys(METRICS) | dict.fromkeys(key for row in table for key in row)
    return [name for name in names if any(_is_number(row.get(name)) for row in table)]


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value)
