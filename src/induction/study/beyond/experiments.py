"""Models with modified training, beside untouched ones of their kind.

The rules of reports/beyond.md compare kinds of model over seeds: what is done to a kind stands in
its entry of params.yaml, see induction.config.models.Model.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from induction.config import Model
from induction.rules.curves import Curves
from induction.study.over_seeds.facts import MIN_SEEDS, kind_of
from induction.study.over_seeds.resampling import Mean, difference_over_seeds
from induction.study.summary import ModelSummary
from induction.study.verdicts.verdict import Outcome


@dataclass(frozen=True)
class Trained:
    """One model of an experiment at the end of its training.

    changed: whether it has a phase change, complete or not. onset_tokens: of a change whose end is
    seen. heads_formed_tokens, icl_score, removed_share: as in ModelSummary. uncopyable_icl: the ICL
    score over targets that the context does not let one copy, in nats; None where there are none.
    """

    name: str
    seed: int
    changed: bool
    onset_tokens: float | None
    heads_formed_tokens: float | None
    icl_score: float
    uncopyable_icl: float | None
    removed_share: float | None
    max_previous_token: float


@dataclass(frozen=True)
class Group:
    """The seeds of one kind. done: what is done to it."""

    done: str
    models: tuple[Trained, ...]

    @property
    def names(self) -> list[str]:
        return [model.name for model in self.models]

    @property
    def onsets(self) -> list[float] | None:
        """ln(tokens) of every onset; None where a model has none."""
        return _logarithms([model.onset_tokens for model in self.models])

    @property
    def heads_formed(self) -> list[float] | None:
        """ln(tokens) where the heads of every model have formed; None where those of one do not."""
        return _logarithms([model.heads_formed_tokens for model in self.models])


Zoo = Mapping[Model, tuple[Trained, ...]]
"""Models that differ in their seed alone, by their entry with seed 0."""


def find_zoo(summaries: Sequence[ModelSummary], curves: Mapping[str, Curves]) -> Zoo:
    """The kinds that are experiments, or that one can be compared to."""
    found: dict[Model, list[Trained]] = {}
    for summary in summaries:
        entry = summary.entry
        if isinstance(entry, Model) and (entry.experiment or (entry.plain and kind_of(entry))):
            kind = entry.model_copy(update={"seed": 0})
            found.setdefault(kind, []).append(_trained(summary, entry, curves[summary.name]))
    return {kind: tuple(models) for kind, models in found.items()}


def untouched(zoo: Zoo) -> Iterator[Model]:
    """The kinds that nothing is done to."""
    return (kind for kind in zoo if kind.plain)


def have_seeds(groups: Iterable[Group]) -> bool:
    """Whether every kind has `MIN_SEEDS` seeds, so that a question can be asked of them."""
    return all(len({model.seed for model in group.models}) >= MIN_SEEDS for group in groups)


def shared_outcome(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome that all share, else inconclusive; not tested without any."""
    if not outcomes:
        return "not tested"
    return outcomes[0] if len(set(outcomes)) == 1 else "inconclusive"


def whole(values: Sequence[float | None]) -> list[float] | None:
    """The values, where none is missing."""
    found = [value for value in values if value is not None]
    return found if len(found) == len(values) else None


def difference(sample: Sequence[float] | None, other: Sequence[float] | None) -> Mean | None:
    """Of two kinds' means over seeds, with its interval; None where one of them has no values."""
    return difference_over_seeds(sample, other) if sample and other else None


def names_of(groups: Sequence[Group]) -> list[str]:
    """Every model once, in its order."""
    return list(dict.fromkeys(chain.from_iterable(group.names for group in groups)))


def _trained(summary: ModelSummary, entry: Model, curves: Curves) -> Trained:
    missing = np.full((1, 2), np.nan)
    early, late = (missing if curves.uncopyable is None else curves.uncopyable)[-1].tolist()
    change = summary.change
    return Trained(
        name=summary.name,
        seed=entry.seed,
        changed=change is not None,
        onset_tokens=change.onset_tokens if change and change.complete else None,
        heads_formed_tokens=summary.heads_formed_tokens,
        icl_score=summary.icl_score,
        uncopyable_icl=None if np.isnan(late - early) else late - early,
        removed_share=summary.removed_share,
        max_previous_token=summary.max_previous_token,
    )


def _logarithms(tokens: Sequence[float | None]) -> list[float] | None:
    found = whole(tokens)
    return found and np.log(found).tolist()
