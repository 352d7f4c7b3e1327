"""Loss over index in context and training, and its derivatives, as heat maps."""

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from induction.report.figures import cells
from induction.report.figures.axes import panels_of_models, token_axis
from induction.report.figures.cells import Cell
from induction.report.results import Results
from induction.report.style import looks

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


def index_derivatives(results: Results) -> Figure:
    """One panel a model: derivative of the loss by ln(index) over training and index."""
    return panels_of_models(results, cells.index_derivative, "index in context")


def token_derivatives(results: Results) -> Figure:
    """One panel a model: derivative of the loss by ln(tokens) over training and index."""
    return panels_of_models(results, cells.token_derivative, "index in context")


def loss_maps(results: Results) -> Figure:
    """One panel a model: the loss over training and index."""
    return panels_of_models(results, cells.loss_map, "index in context")


def model_analysis_table(results: Results) -> Figure:
    """The paper's table of small multiples: a column for each model, a row for each analysis."""
    names = list(results.config.models)
    figure, grid = plt.subplots(
        len(_ROWS),
        len(names),
        figsize=(1.25 * len(names), 1.15 * len(_ROWS)),
        sharey="row",
        squeeze=False,
    )
    style = looks(results.config.models)
    for row, (label, draw) in zip(grid, _ROWS, strict=True):
        for name, axes in zip(names, row, strict=True):
            draw(axes, results, name)
            if draw is not cells.pca:
                token_axis(axes, "", ticks=(1.0,))
            axes.tick_params(labelsize=5, labelbottom=row is grid[-1])
        row[0].set_ylabel(label, fontsize=7)
    for name, axes in zip(names, grid[0], strict=True):
        axes.set_title(name, color=style[name].color, fontsize=8, fontweight="bold")
    figure.supxlabel("tokens trained (except PCA)", fontsize=8)
    return figure
