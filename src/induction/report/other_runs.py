"""The published runs of this study beside the one at hand: on other text, with other models."""

from collections.abc import Sequence

from induction.files import read_record
from induction.report.results import Results
from induction.report.sentences import sentence
from induction.report.text import markdown_table, quantity
from induction.runs.layout import published_folders
from induction.runs.metrics import Row, metric, rows, seed_spreads, yardstick
from induction.runs.run import Run, load_run
from induction.study.over_seeds import OverSeeds

_PROSE = "prose"
_COMPARED = (
    *("onset_tokens", "icl_score", "max_prefix_matching", "max_previous_token"),
    "icl_removed_by_induction_heads",
)


def other_runs(results: Results) -> str:
    """The verdicts of every published run, and what other text changes; a sentence where there is
    no other run."""
    others = [run for name, run in _published(results).items() if name != results.config.name]
    if not others:
        return sentence("other_runs", "no_other")
    prose = [run for run in others if run.params.get("name") == _PROSE]
    told = [_on_other_text(results, run) for run in prose]
    return "\n\n".join([sentence("other_runs", "verdicts"), _verdicts(results, others), *told])


def _published(results: Results) -> dict[str, Run]:
    return {name: load_run(folder) for name, folder in published_folders(results.paths).items()}


def _verdicts(results: Results, others: Sequence[Run]) -> str:
    here = [f"**{verdict.outcome}**" for verdict in results.verdicts]
    listed = [(f"`{results.config.name}`, this one", len(results.models), here)] + [
        (f"`{run.params.get('name')}`", len(run.metrics), [v["outcome"] for v in run.verdicts])
        for run in others
    ]
    for run in others:
        if tested := _over_seeds(run):
            outcomes = [tested.get(verdict.argument, "–") for verdict in results.verdicts]
            name = f"`{run.params.get('name')}`, tested over seeds"
            listed.append((name, len(run.metrics), outcomes))
    return markdown_table(
        ("run", "models", *(str(verdict.argument) for verdict in results.verdicts)),
        "lr" + "l" * len(results.verdicts),
        ((name, str(models), *outcomes) for name, models, outcomes in listed),
    )


def _over_seeds(run: Run) -> dict[int, str]:
    """The outcome of every argument that a run tested over seeds; none of a run without seeds."""
    if not run.paths.seeds.is_file():
        return {}
    found = read_record(run.paths.seeds, OverSeeds).verdicts
    return {v.argument: v.outcome for v in found if v.outcome != "not tested"}


def _on_other_text(results: Results, prose: Run) -> str:
    """Every shared model here and on prose, and whether the two differ."""
    here = load_run(results.paths.root)
    spreads = [*seed_spreads(here, "here"), *seed_spreads(prose, "there")]
    shared = [row for row in rows(here, prose) if row.mark != "one run"]
    table = []
    for row in shared:
        if row.metric in _COMPARED:
            table.append(
                (
                    f"`{row.model}`",
                    metric(row.metric).label,
                    quantity(row.metric, row.a),
                    quantity(row.metric, row.b),
                    _differ(row, yardstick(spreads, row.metric)),
                )
            )
    changed = [row.model for row in shared if row.metric == "onset_tokens" and row.b is not None]
    lead = sentence("other_runs", "on_prose", changed=changed)
    header = ("model", "measure", "here", "on prose", "differ")
    return f"{lead}\n\n{markdown_table(header, 'llrrl', table)}"


def _differ(row: Row, spread: float | None) -> str:
    """Beyond the intervals of windows, and beyond what seeds make where that is known."""
    if row.mark == "no interval":
        return row.mark
    if not row.clear:
        return "no"
    within = spread is not None and row.change is not None and abs(row.change) <= spread
    return "within seeds" if within else "yes"
