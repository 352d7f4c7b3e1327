"""How a model looks in every figure: colour by kind, darker with depth, line by kind."""

from collections.abc import Mapping, Sized
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.colors import hsv_to_rgb

from induction.config import ExternalModel, Model
from induction.study.kinds import find_kinds

# Hue, saturation and value of one layer. The hues stay apart for colour-blind readers; depth
# darkens them, so that grey print works; all are dark enough for small text on white.
_COLORS = {
    "attn": (0.58, 0.78, 0.76),
    "mlp": (0.085, 1.0, 0.70),
    "smear": (0.45, 0.95, 0.50),
    "values": (0.10, 0.60, 0.57),
    "external": (0.86, 0.60, 0.66),
}
_HUE_STEP = 0.055  # between kinds that differ in nothing that shows, such as the optimiser
_LINES = {
    "attn": "-",
    "mlp": (0, (5, 1.5)),
    "smear": (0, (1.5, 1)),
    "values": (0, (3, 1, 1, 1)),
    "external": (0, (5, 1.5, 1, 1.5)),
}
BAND = "#e9c46a"
FAINT = "#c8c8c8"


@dataclass(frozen=True)
class Look:
    """Colour and line style of one model."""

    color: tuple[float, float, float]
    linestyle: str | tuple


def kind(model: Model | ExternalModel) -> str:
    if isinstance(model, ExternalModel):
        return "external"
    if model.smeared_keys:
        return "smear"
    if model.smeared_values:
        return "values"
    return "attn" if model.attn_only else "mlp"


def looks(models: Mapping[str, Model | ExternalModel]) -> dict[str, Look]:
    """The look of each model of the zoo; it depends on what the model is, not on its place.

    Seeds of a kind look alike.
    """
    # Models of others have a scale of their own: theirs may be ten times as deep as ours.
    deepest: dict[bool, int] = {}
    for model in models.values():
        others = isinstance(model, ExternalModel)
        deepest[others] = max(deepest.get(others, 1), model.n_layers)
    result, taken = {}, {}
    for first, seeds in find_kinds(models).items():
        model = models[first]
        group = (kind(model), model.n_layers)
        twin = taken.get(group, 0)
        taken[group] = twin + 1
        hue, saturation, value = _COLORS[kind(model)]
        depth = (model.n_layers - 1) / max(deepest[isinstance(model, ExternalModel)] - 1, 1)
        color = hsv_to_rgb(((hue + _HUE_STEP * twin) % 1, saturation, value * (1 - 0.55 * depth)))
        look = Look(tuple(np.round(color, 3).tolist()), _LINES[kind(model)])
        result |= dict.fromkeys(seeds, look)
    return result


def marker_of(points: Sized) -> str:
    """The marker of a line: a dot where there is one point alone, which no line would show."""
    return "o" if len(points) == 1 else ""


def use_style() -> None:
    """Set matplotlib up for the report: vector text as paths, the same bytes on every run."""
    mpl.rcParams.update(
        {
            "svg.hashsalt": "induction",
            "svg.fonttype": "path",
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "font.size": 9,
            "axes.titlesize": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.color": "#ececec",
            "grid.linewidth": 0.6,
            "lines.linewidth": 1.5,
            "legend.frameon": False,
        }
    )
