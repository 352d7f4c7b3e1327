"""Every figure of the report: its label, the function that draws it, and the table behind it."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import polars as pl
from matplotlib.figure import Figure

from induction.paths import StudyPaths
from induction.report.figures import (
    ablations,
    behaviours,
    circuits,
    control,
    data,
    experiments,
    head_map,
    llc,
    maps,
    ngrams,
    passage,
    pca,
    prompt,
    training,
)
from induction.report.results import Results

_DIGITS = 5


@dataclass(frozen=True)
class Entry:
    """draw: makes the figure. table: what it shows. also: figures whose tables hold the rest."""

    draw: Callable[[Results], Figure]
    table: data.Table
    also: tuple[str, ...] = ()

    @property
    def function(self) -> Callable:
        return self.draw.func if isinstance(self.draw, partial) else self.draw

    @property
    def name(self) -> str:
        """The drawing function as it is imported."""
        return f"{self.function.__module__}.{self.function.__name__}"

    def place(self, paths: StudyPaths) -> str:
        """File and line of the drawing function, relative to the checkout."""
        file = Path(inspect.getsourcefile(self.function) or "").resolve()
        within = file.relative_to(paths.root) if file.is_relative_to(paths.root) else file.name
        return f"{within}:{inspect.getsourcelines(self.function)[1]}"

    def csv(self, results: Results) -> str:
        table = self.table(results)
        return table.with_columns(pl.selectors.float().round_sig_figs(_DIGITS)).write_csv()


def _head_panels(score: str, label: str) -> Callable[[Results], Figure]:
    return partial(training.head_panels, score=score, label=label)


FIGURES = {
    "fig-summary": Entry(training.summary, data.shallow_curves),
    "fig-passage": Entry(passage.attention_on_text, passage.on_text),
    "fig-all": Entry(training.all_models, data.curves),
    "fig-icl": Entry(training.icl_panels, data.curves),
    "fig-prefix": Entry(
        _head_panels("prefix_matching", "prefix-matching score"), data.heads("prefix_matching")
    ),
    "fig-previous": Entry(
        _head_panels("previous_token", "previous-token score"), data.heads("previous_token")
    ),
    "fig-pca": Entry(pca.trajectories, data.trajectories),
    "fig-maps": Entry(maps.loss_maps, data.loss_map("loss")),
    "fig-index-derivative": Entry(maps.index_derivatives, data.loss_map("by_index")),
    "fig-token-derivative": Entry(maps.token_derivatives, data.loss_map("by_tokens")),
    "fig-sets": Entry(ablations.sets, data.ablated_sets),
    "fig-attribution": Entry(ablations.icl_attribution, data.ablated_heads("icl_attribution")),
    "fig-before-after": Entry(ablations.before_and_after, data.ablated_heads("before_after")),
    "fig-behaviours": Entry(behaviours.with_and_without, behaviours.at_the_end),
    "fig-rise": Entry(behaviours.rise, behaviours.over_training, also=("fig-icl",)),
    "fig-prompt": Entry(prompt.attention_on_prompt, prompt.on_prompt),
    "fig-head-map": Entry(head_map.head_maps, head_map.heads_of_map),
    "fig-circuits": Entry(circuits.weights_against_probes, data.last_heads),
    "fig-ngrams": Entry(ngrams.divergences, ngrams.divergence_table),
    "fig-llc": Entry(llc.coefficients, llc.coefficient_table),
    "fig-experiments": Entry(experiments.icl_scores, experiments.icl_score_table),
    "fig-control": Entry(control.by_scale, control.scaled),
    "fig-analysis": Entry(
        maps.model_analysis_table,
        data.heads("prefix_matching", "qk_trace"),
        also=(
            *("fig-pca", "fig-icl", "fig-maps", "fig-index-derivative"),
            *("fig-attribution", "fig-before-after"),
        ),
    ),
}


def show(label: str, results: Results) -> None:
    """Show a figure in the cell that carries its label."""
    FIGURES[label].draw(results)
    plt.show()
