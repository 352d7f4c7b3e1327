"""How far models are from n-gram predictors over training."""

import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from induction.report.figures.axes import mark_band, panels_of_models, shade_interval
from induction.report.results import Results

_COLORS = {"unigram": "#999999", "bigram": "#d55e00", "trigram": "#0072b2"}


def divergences(results: Results) -> Figure:
    """One panel a kind of model: the divergence from each predictor, a dot where it is least."""
    figure = panels_of_models(
        results, _draw, "divergence from the predictor (nats)", results.divergences
    )
    figure.axes[0].legend(fontsize=7)
    return figure


def _draw(axes: Axes, results: Results, name: str) -> None:
    own = results.divergences[name]
    shown = own.tokens > 0
    for predictor, values in own.of.items():
        color = _COLORS[predictor]
        mean = values.mean(axis=1)
        axes.plot(own.tokens[shown], mean[shown], color=color, label=predictor)
        shade_interval(axes, own.tokens[shown], values[shown], color)
        least = mean[shown].argmin()
        axes.plot(own.tokens[shown][least], mean[shown][least], "o", color=color, markersize=3.5)
    mark_band(axes, results.models[name].band_tokens)


def divergence_table(results: Results) -> pl.DataFrame:
    """A row for each of our models and snapshots, a column for each predictor, in nats."""
    return pl.concat(
        pl.DataFrame(
            {
                "model": name,
                "tokens": own.tokens,
                **{predictor: values.mean(axis=1) for predictor, values in own.of.items()},
            }
        )
        for name, own in results.divergences.items()
    )
