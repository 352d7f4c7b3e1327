"""Loss over index in context and training, and its derivatives, as heat maps."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from induction.report.figures import cells
from induction.report.figures.axes import courses, panels_of_models, token_axis, trained_range
from induction.report.figures.cells import Cell
from induction.report.figures.seeds import by_kind
from induction.report.results import Results
from induction.report.style import looks
from induction.study.kinds import kind_label

_ROWS: tuple[tuple[str, Cell], ...] = (
    ("PCA of\nper-token losses", cells.pca),
    ("loss", cells.loss),
    ("loss by index", cells.loss_map),
    ("∂ loss / ∂ ln(index)", cells.index_derivative),
    ("ICL score", cells.icl_score),
    ("prefix matching", cells.head_score("prefix_matching")),
    ("QK trace", cells.head_score("qk_trace")),
    ("ablation:\nbefore and after", cells.head_ablation("before_after")),
    ("ablation:\nICL attribution", cells.head_ablation("icl_attribution")),
)


def loss_maps(results: Results) -> Figure:
    """One panel a model: the loss over training and index."""
    return _maps(results, cells.loss_map, "loss (nats)")


def index_derivatives(results: Results) -> Figure:
    """One panel a model: derivative of the loss by ln(index) over training and index."""
    return _maps(results, cells.index_derivative, "nats per e-fold of the index")


def token_derivatives(results: Results) -> Figure:
    """One panel a model: derivative of the loss by ln(tokens) over training and index."""
    return _maps(results, cells.token_derivative, "nats per e-fold of tokens")


def _maps(results: Results, draw: Cell, unit: str) -> Figure:
    """Heat maps with one colour bar; all panels share their scale."""
    figure = panels_of_models(results, draw, "index in context")
    meshes = [mesh for axes in figure.axes for mesh in axes.collections]
    if meshes:
        bar = figure.colorbar(meshes[0], ax=figure.axes, shrink=0.7, pad=0.02, extend="both")
        bar.set_label(unit, fontsize=8)
        bar.ax.tick_params(labelsize=7)
    return figure


def model_analysis_table(results: Results) -> Figure:
    """The paper's table of small multiples: a column for each kind of model, a row for each
    analysis."""
    kinds = by_kind(results, results.config.studied)
    names = list(kinds)
    width, height = 1.25 * len(names), 1.15 * len(_ROWS)
    figure, grid = plt.subplots(
        len(_ROWS),
        len(names),
        figsize=(width, height),
        sharey="row",
        squeeze=False,
        # All panels are alike: to measure their labels would take longer than to draw them.
        layout="none",
        gridspec_kw={
            **{"left": 0.75 / width, "right": 1 - 0.05 / width, "wspace": 0.1},
            **{"bottom": 0.45 / height, "top": 1 - 0.25 / height, "hspace": 0.1},
        },
    )
    style = looks(results.config.studied)
    with_course, shared = courses(results), trained_range(results)
    for row, (label, draw) in zip(grid, _ROWS, strict=True):
        for name, axes in zip(names, row, strict=True):
            draw(axes, results, name)
            if draw is not cells.pca:
                token_axis(axes, "", ticks=(1.0,))
                moment = float(results.curves[name].tokens[-1])
                axes.set_xlim(*(shared if name in with_course else (moment / 2, moment * 2)))
            axes.minorticks_off()
            axes.tick_params(labelsize=5, labelbottom=draw is _ROWS[-1][1])
        row[0].set_ylabel(label, fontsize=7)
    figure.align_ylabels(grid[:, 0])
    for name, axes in zip(names, grid[0], strict=True):
        axes.set_title(
            kind_label(kinds[name]), color=style[name].color, fontsize=8, fontweight="bold"
        )
    figure.supxlabel("tokens trained (except PCA)", fontsize=8)
    return figure
