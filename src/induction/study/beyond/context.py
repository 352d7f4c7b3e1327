"""Whether the onset follows the root of the context (Aoyama et al. 2025, arXiv 2511.16893), or its
square (Musat et al. 2025, arXiv 2511.01033).

The rule is that of reports/beyond.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from induction.study.beyond.batch import MIN_SIZES, Series, decide, make_series
from induction.study.beyond.experiments import Group, difference, have_seeds
from induction.study.over_seeds.resampling import Mean
from induction.study.verdicts.verdict import Outcome

SQUARE = 3.0
"""The slope in tokens if steps grow with the square: with as many windows, a batch grows too."""


@dataclass(frozen=True)
class ContextLaw:
    """against_batch: by tokens of context, the difference of ln(onset) from models with another
    context and as long a batch; None where a model has no complete change. Not judged."""

    outcome: Outcome = "not tested"
    series: Series | None = None
    against_batch: Mapping[int, Mean | None] = field(default_factory=dict)

    @property
    def groups(self) -> tuple[Group, ...]:
        return self.series.groups if self.series else ()


def context_law(contexts: Mapping[int, Group], as_long: Mapping[int, Group]) -> ContextLaw:
    """Ask models by their tokens of context, with as many windows a batch.

    as_long: models of another context with as many tokens a batch, by the context of those that
    they are compared to.
    """
    if len(contexts) < MIN_SIZES or not have_seeds(contexts.values()):
        return ContextLaw()
    series = make_series("context", contexts)
    against = {
        size: difference(contexts[size].onsets, group.onsets) for size, group in as_long.items()
    }
    return ContextLaw(decide([series]), series, against)
