"""Seeds of a kind in figures: each as a thin line, their median as a thick one."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes

from induction.report.results import Results
from induction.report.style import looks, marker_of
from induction.rules.curves import Curves
from induction.study.kinds import find_kinds


def by_kind(results: Results, names: Iterable[str]) -> dict[str, list[str]]:
    """Those of the models that are of each kind, by the name of the first, in their order."""
    asked = list(names)
    kinds = find_kinds(results.config.studied).values()
    found = ([name for name in asked if name in kind] for kind in kinds)
    groups = sorted(filter(None, found), key=lambda group: asked.index(group[0]))
    return {group[0]: group for group in groups}


def twins(results: Results, name: str) -> list[str]:
    """The other seeds of a model's kind."""
    kinds = find_kinds(results.config.studied).values()
    (own,) = (kind for kind in kinds if name in kind)
    return [other for other in own if other != name]


def median(values: Sequence[np.ndarray]) -> np.ndarray:
    """Over seeds, at every snapshot: [snapshots]; that of one model is its own.

    Seeds of a kind share their snapshots, but for an unfinished one: then those of the shortest.
    """
    length = min(map(len, values))
    return np.median([each[:length] for each in values], axis=0)


def draw_seeds(
    axes: Axes, results: Results, names: list[str], quantity: Callable[[Curves], np.ndarray]
) -> tuple[float, float]:
    """Draw a quantity over tokens; returns where the thick line ends."""
    look = looks(results.config.studied)[names[0]]
    if names[1:]:
        for name in names:
            draw_thin(axes, results, name, quantity(results.curves[name]))
    middle = median([quantity(results.curves[name]) for name in names])
    tokens = results.curves[names[0]].tokens[: len(middle)]
    shown = tokens > 0
    axes.plot(
        *(tokens[shown], middle[shown]),
        color=look.color,
        linestyle=look.linestyle,
        marker=marker_of(middle[shown]),
        markersize=3,
    )
    return float(tokens[-1]), float(middle[-1])


def draw_thin(axes: Axes, results: Results, name: str, values: np.ndarray) -> None:
    """One seed of several."""
    look = looks(results.config.studied)[name]
    tokens = results.curves[name].tokens
    shown = tokens > 0
    axes.plot(tokens[shown], values[shown], color=look.color, linewidth=0.7, alpha=0.45)
