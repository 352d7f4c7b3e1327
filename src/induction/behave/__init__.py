"""Behaviours beyond scores of heads (paper, Argument 4): one per file; a new one is a new file and
a line at the end of the list here, for a behaviour's place in it seeds its tasks.

A behaviour is a function `make(material, settings, random)` that gives tasks, which are data and
know no model, or says why one cannot be asked.
"""

from collections.abc import Callable, Collection, Mapping

import numpy as np

from induction.behave import (
    abstract_patterns,
    few_shot,
    fuzzy_copying,
    literal_copying,
    longer_prefix,
    translation,
)
from induction.behave.material import Material
from induction.behave.task import Task, Untestable
from induction.config import Behaviours

Behaviour = Callable[[Material, Behaviours, np.random.Generator], list[Task | Untestable]]

BEHAVIOURS: Mapping[str, Behaviour] = {
    behaviour.NAME: behaviour.make
    for behaviour in (
        literal_copying,
        fuzzy_copying,
        longer_prefix,
        abstract_patterns,
        few_shot,
        translation,
    )
}


def make_tasks(
    material: Material, settings: Behaviours, wanted: Collection[str] = BEHAVIOURS
) -> list[Task | Untestable]:
    """The tasks of the wanted behaviours, in the order of BEHAVIOURS.

    The same material and settings give a behaviour the same tasks, whatever else is wanted.
    """
    return [
        task
        for number, (name, make) in enumerate(BEHAVIOURS.items())
        if name in wanted
        for task in make(material, settings, np.random.default_rng([settings.seed, number]))
    ]
