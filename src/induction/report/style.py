"""How a model looks in every figure: colour by kind, darker with depth, line by kind."""

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.colors import hsv_to_rgb

from induction.config import Model

# Hues that stay apart for colour-blind readers; lightness runs with depth, so grey print works.
_HUES = {"attn": (0.58, 0.85), "mlp": (0.09, 0.95), "smear": (0.45, 0.95)}
_LINES = {"attn": "-", "mlp": (0, (5, 1.5)), "smear": (0, (1.5, 1))}
BAND = "#e9c46a"
FAINT = "#c8c8c8"


@dataclass(frozen=True)
class Look:
    """Colour and line style of one model."""

    color: tuple[float, float, float]
    linestyle: str | tuple


def kind(model: Model) -> str:
    if model.smeared_keys:
        return "smear"
    return "attn" if model.attn_only else "mlp"


def looks(models: Mapping[str, Model]) -> dict[str, Look]:
    """The look of each model of the zoo; it depends on what the model is, not on its place."""
    deepest = max(model.n_layers for model in models.values())
    result, taken = {}, {}
    for name, model in models.items():
        group = (kind(model), model.n_layers)
        twin = taken.get(group, 0)
        taken[group] = twin + 1
        hue, saturation = _HUES[kind(model)]
        depth = (model.n_layers - 1) / max(deepest - 1, 1)
        value = 0.88 - 0.48 * depth
        color = hsv_to_rgb((hue, saturation * 0.75**twin, min(1, value + 0.12 * twin)))
        result[name] = Look(tuple(np.round(color, 3).tolist()), _LINES[kind(model)])
    return result


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
