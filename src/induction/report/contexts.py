"""The onset against the length of the context: published runs that differ in it, side by side."""

from collections.abc import Iterator

from induction.config import Model
from induction.paths import StudyPaths
from induction.report.experiments import SERIES_HEADER, mean_cell, series_rows
from induction.report.results import Results
from induction.report.sentences import sentence
from induction.report.text import markdown_table
from induction.runs.layout import published_folders
from induction.runs.run import Run, load_run
from induction.study.beyond.batch import SLOPE
from induction.study.beyond.context import SQUARE, ContextLaw, context_law
from induction.study.beyond.experiments import Group, Trained
from induction.study.over_seeds.facts import ModelKind, kind_of

USUAL, OTHERS = "beyond", ("context-128", "context-512")
_ASKED = ModelKind(2, True, "nothing")


def context(results: Results) -> str:
    """The verdict on the root of the context, and the onset at every context."""
    found = load_context_law(results.paths)
    lead = sentence("beyond", "verdict", outcome=found.outcome, asked=[])
    if not found.series:
        return f"{lead} {sentence('beyond', 'without_contexts', runs=[USUAL, *OTHERS])}"
    slope = found.series.onset_slope
    told = sentence(
        *("beyond", "slope_on_context"),
        slope=f"{SLOPE:g}",
        square=f"{SQUARE:g}",
        holds_square=slope and slope.low <= SQUARE <= slope.high,
    )
    rows = [
        (*row[1:], mean_cell(found.against_batch[size]) if size in found.against_batch else "")
        for size, row in zip(found.series.sizes, series_rows(found.series), strict=True)
    ]
    header = ("context", *SERIES_HEADER, "difference of ln(onset) from as long a batch")
    return f"{lead} {told}\n\n{markdown_table(header, 'rlllll', rows)}"


def load_context_law(paths: StudyPaths) -> ContextLaw:
    """What the published runs say of it; not tested where one of them is missing."""
    folders = published_folders(paths)
    if not folders.keys() >= {USUAL, *OTHERS}:
        return ContextLaw()
    usual, *others = (load_run(folders[name]) for name in (USUAL, *OTHERS))
    contexts = {
        _size(run): Group(run.label, tuple(_trained(run, None))) for run in (usual, *others)
    }
    batches = {_size(run): run.params["train"]["batch_tokens"] for run in others}
    as_long = {
        size: Group(f"batch of {batch:,} tokens", tuple(_trained(usual, batch)))
        for size, batch in batches.items()
    }
    return context_law(contexts, as_long)


def _size(run: Run) -> int:
    return run.params["model"]["n_ctx"]


def _trained(run: Run, batch: int | None) -> Iterator[Trained]:
    """The seeds of two attention layers that nothing is done to, but for a batch of their own."""
    for name, entry in run.models.items():
        if not isinstance(entry, Model) or entry.batch_tokens != batch:
            continue
        if kind_of(entry.model_copy(update={"batch_tokens": None})) == _ASKED:
            row = run.metrics[name]
            yield Trained(
                name=name,
                seed=entry.seed,
                changed=row["onset_tokens"] is not None,
                onset_tokens=row["onset_tokens"] if row["band_complete"] else None,
                heads_formed_tokens=row["heads_formed_tokens"],
                icl_score=row["icl_score"],
                uncopyable_icl=None,
                removed_share=row["icl_removed_by_induction_heads"],
                max_previous_token=row["max_previous_token"],
            )
