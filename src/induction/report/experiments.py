"""Models with modified training: verdicts and tables of the four questions."""

from collections.abc import Sequence

from induction.report.results import Results
from induction.report.sentences import sentence
from induction.report.text import markdown_table, number, onset, percent
from induction.study.beyond.batch import SLOPE, Series
from induction.study.beyond.experiments import Group, names_of, whole
from induction.study.over_seeds.resampling import Mean

SERIES_HEADER = (
    *("onset of each seed", "heads formed"),
    *("slope of ln(onset)", "slope of ln(heads formed)"),
)


def batch(results: Results) -> str:
    """The verdict on the root of the batch, and the onset of every batch."""
    found = results.beyond.batch
    header = ("learning rates", "batch", *SERIES_HEADER)
    rows = [row for series in found.series for row in series_rows(series)]
    claim = sentence("beyond", "claimed_slopes", slope=f"{SLOPE:g}")
    return _section(found.outcome, found.groups, header, "lrllll", rows, claim)


def series_rows(series: Series) -> list[tuple[str, ...]]:
    """A row for each batch or context; the first has the name and the slopes of all."""
    slopes = (mean_cell(series.onset_slope), mean_cell(series.heads_slope))
    return [
        (
            series.name,
            f"{tokens:,}",
            seeds_cell([m.onset_tokens for m in group.models]),
            seeds_cell([m.heads_formed_tokens for m in group.models]),
            *(("", "") if place else slopes),
        )
        for place, (tokens, group) in enumerate(zip(series.sizes, series.groups, strict=True))
    ]


def copying(results: Results) -> str:
    """The verdict on whether the ICL score is copying, and what each mask does to it."""
    found = results.beyond.copying
    header = (
        *("learns from", "seeds with a change", "onset of each seed", "ICL score"),
        *("ICL score, uncopyable targets", "against all targets"),
    )
    rows = []
    for masked in found.asked:
        moved = (None, masked.moved, masked.moved_at_random)
        for group, difference in zip(masked.groups, moved, strict=True):
            rows.append(
                (
                    f"`{group.names[0]}`: {group.done}",
                    f"{sum(m.changed for m in group.models)} of {len(group.models)}",
                    seeds_cell([m.onset_tokens for m in group.models]),
                    _average([m.icl_score for m in group.models]),
                    _average([m.uncopyable_icl for m in group.models]),
                    "" if difference is None else _percents(difference),
                )
            )
    return _section(found.outcome, found.groups, header, "llllrl", rows)


def bottleneck(results: Results) -> str:
    """The verdict on the part that the change waits for, and what every clamp does."""
    found = results.beyond.bottleneck
    header = (
        *("attention fixed", "onset of each seed", "advance, e-folds", "ICL score"),
        "best previous-token score",
    )
    advances = [(), *(each.advances for each in found.clamped)]
    rows = [
        (
            group.done,
            seeds_cell([m.onset_tokens for m in group.models]),
            ", ".join("none" if a is None else f"{a:+.2f}" for a in advance),
            _average([m.icl_score for m in group.models]),
            _average([m.max_previous_token for m in group.models]),
        )
        for group, advance in zip(found.groups, advances, strict=False)
    ]
    lead = sentence("beyond", "bottleneck", part=found.found) if found.found else ""
    return _section(found.outcome, found.groups, header, "lllrr", rows, lead)


def repetition(results: Results) -> str:
    """The verdict on whether more heads bring more learning, and what every share does."""
    found = results.beyond.repetition
    header = (
        *("repeated windows at first", "onset of each seed", "difference of ln(onset)"),
        *("share of the gain lost without induction heads", "difference of it", "ICL score"),
    )
    rows = [_repeated(group, None, None) for group in found.groups[:1]]
    rows += [_repeated(each.group, each.onset, each.weighs) for each in found.repeated]
    return _section(found.outcome, found.groups, header, "lllrlr", rows)


def _repeated(group: Group, onset: Mean | None, weighs: Mean | None) -> tuple[str, ...]:
    removed = [m.removed_share for m in group.models if m.removed_share is not None]
    return (
        group.done,
        seeds_cell([m.onset_tokens for m in group.models]),
        "" if onset is None else mean_cell(onset),
        percent(sum(removed) / len(removed)) if removed else "none",
        "" if weighs is None else _percents(weighs),
        _average([m.icl_score for m in group.models]),
    )


def _section(
    outcome: str,
    groups: Sequence[Group],
    header: Sequence[str],
    align: str,
    rows: Sequence[Sequence[str]],
    remark: str = "",
) -> str:
    lead = sentence("beyond", "verdict", outcome=outcome, asked=names_of(groups))
    if not rows:
        return f"{lead} {sentence('beyond', 'without_experiments')}"
    return f"{lead} {remark}".rstrip() + f"\n\n{markdown_table(header, align, rows)}"


def seeds_cell(tokens: Sequence[float | None]) -> str:
    """Tokens of every seed."""
    return ", ".join(map(onset, tokens))


def _average(values: Sequence[float | None]) -> str:
    found = whole(values)
    return number(sum(found) / len(found) if found else None)


def mean_cell(found: Mean | None) -> str:
    """A mean with its interval."""
    if found is None:
        return "none"
    return f"{number(found.value)} [{number(found.low)}, {number(found.high)}]"


def _percents(found: Mean) -> str:
    return f"{percent(found.value)} [{percent(found.low)}, {percent(found.high)}]"
