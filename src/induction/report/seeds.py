"""What another seed changes: kinds of model over their seeds, and on how many a verdict rests."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from induction.report.results import Results
from induction.report.text import markdown_table, number, percent, short_tokens
from induction.study.kinds import find_kinds, kind_label, seeds_asked

# Metric, its header, and how it is written.
_COLUMNS = (
    ("onset_tokens", "onset", short_tokens),
    ("icl_score", "ICL score", number),
    ("loss", "loss", number),
    ("max_prefix_matching", "prefix matching", number),
    ("icl_removed_by_induction_heads", "removed with induction heads", percent),
)


def spread(results: Results) -> str:
    """Median, least and greatest value over the seeds of each kind that has several."""
    return markdown_table(
        ("kind", "seeds", "with a change", *(header for _, header, _ in _COLUMNS)),
        "lrrrrrrr",
        (
            (
                f"`{kind_label(names)}`",
                str(len(names)),
                str(len(_values(results, names, "onset_tokens"))),
                *(_over(_values(results, names, key), write) for key, _, write in _COLUMNS),
            )
            for names in _repeated(results).values()
        ),
    )


def spread_if_any(results: Results) -> str:
    """The same with its lead, or a sentence that no kind has a second seed."""
    kinds = find_kinds(results.config.models)
    repeated = _repeated(results)
    if not repeated:
        return "Every kind of model has one seed here: how much another would change is not known."
    have = "has" if len(repeated) == 1 else "have"
    others = "; the others have one" if len(repeated) < len(kinds) else ""
    return (
        f"Of {len(kinds)} kinds of model, {len(repeated)} {have} several seeds, which differ in "
        f"their initial weights alone{others}. Below: the median over seeds, and from "
        "the least to the greatest. Intervals elsewhere in this report are over windows of text "
        f"or over probes and say nothing of another seed.\n\n{spread(results)}"
    )


def of_verdict(results: Results, verdict: Mapping[str, Any]) -> str:
    """How many seeds of a kind the checks of a verdict look at: a number, or from least to most."""
    models = [name for check in verdict["checks"] for name in check["models"]]
    found = seeds_asked(find_kinds(results.config.studied), models)
    if not found:
        return "–"
    return str(found[0]) if found[0] == found[1] else f"{found[0]} to {found[1]}"


def _repeated(results: Results) -> dict[str, tuple[str, ...]]:
    kinds = find_kinds(results.config.models)
    return {kind: names for kind, names in kinds.items() if len(names) > 1}


def _values(results: Results, names: Sequence[str], metric: str) -> list[float]:
    values = (results.metrics[name][metric] for name in names)
    return [value for value in values if value is not None]


def _over(values: Sequence[float], write: Any) -> str:
    if not values:
        return "–"
    return f"{write(median(values))} ({write(min(values))} to {write(max(values))})"
