"""What another seed changes: kinds of model over their seeds, and on how many a verdict rests."""

from collections.abc import Callable, Sequence
from statistics import median

from induction.report.results import Results
from induction.report.sentences import sentence
from induction.report.text import markdown_table, number, percent, short_tokens
from induction.study.kinds import find_kinds, kind_label, seeds_asked
from induction.study.summary import ModelSummary
from induction.study.verdicts import Verdict

Value = Callable[[ModelSummary], float | None]
# Header, what stands under it, and how it is written.
_COLUMNS: tuple[tuple[str, Value, Callable[[float], str]], ...] = (
    ("onset", lambda model: model.onset_tokens, short_tokens),
    ("ICL score", lambda model: model.icl_score, number),
    ("loss", lambda model: model.loss, number),
    ("prefix matching", lambda model: model.max_prefix_matching, number),
    ("removed with induction heads", lambda model: model.removed_share, percent),
)


def spread(results: Results) -> str:
    """Median, least and greatest value over the seeds of each kind that has several."""
    return markdown_table(
        ("kind", "seeds", "with a change", *(header for header, _, _ in _COLUMNS)),
        "lrrrrrrr",
        (
            (
                f"`{kind_label(names)}`",
                str(len(names)),
                str(sum(results.models[name].change is not None for name in names)),
                *(_over(_values(results, names, value), write) for _, value, write in _COLUMNS),
            )
            for names in _repeated(results).values()
        ),
    )


def spread_if_any(results: Results) -> str:
    """The same with its lead, or a sentence that no kind has a second seed."""
    kinds, repeated = len(find_kinds(results.config.models)), len(_repeated(results))
    if not repeated:
        return sentence("seeds", "one_each")
    lead = sentence("seeds", "spread", kinds=kinds, repeated=repeated)
    return f"{lead}\n\n{spread(results)}"


def of_verdict(results: Results, verdict: Verdict) -> str:
    """How many seeds of a kind the checks of a verdict look at: a number, or from least to most."""
    models = [name for check in verdict.checks for name in check.models]
    found = seeds_asked(find_kinds(results.config.studied), models)
    if not found:
        return "–"
    return str(found[0]) if found[0] == found[1] else f"{found[0]} to {found[1]}"


def _repeated(results: Results) -> dict[str, tuple[str, ...]]:
    kinds = find_kinds(results.config.models)
    return {kind: names for kind, names in kinds.items() if len(names) > 1}


def _values(results: Results, names: Sequence[str], value: Value) -> list[float]:
    values = (value(results.models[name]) for name in names)
    return [each for each in values if each is not None]


def _over(values: Sequence[float], write: Callable[[float], str]) -> str:
    if not values:
        return "–"
    return f"{write(median(values))} ({write(min(values))} to {write(max(values))})"
