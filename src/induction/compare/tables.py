"""The tables of the page, as Markdown."""

from collections.abc import Iterable, Sequence

from induction.compare.comparison import Comparison
from induction.compare.stages import Rerun
from induction.environment import Change
from induction.report.sentences import sentence
from induction.report.text import markdown_table, names, quantity, short_digest
from induction.rules.intervals import Interval
from induction.runs.metrics import Mark, Row, yardstick
from induction.runs.parameters import value_text

_MARKS: dict[Mark, str] = {
    "same": "same",
    "within": "within",
    "beyond": "**●\u00a0beyond**",
    "appears": "**●\u00a0appears**",
    "vanishes": "**●\u00a0vanishes**",
    "no interval": "no interval",
    "one run": "one run",
}

_HELD = {True: "held", False: "failed", None: "open"}
_MOST = 30  # packages or sources


def runs(comparison: Comparison) -> str:
    return markdown_table(
        ("", "run", "made from"),
        "lll",
        (
            (f"**{name}**", f"`{run.label}`", sentence("compare", "origin", run=run))
            for name, run in (("A", comparison.a), ("B", comparison.b))
        ),
    )


def parameters(comparison: Comparison) -> str:
    """Keys that differ; a model that only one run has is one row."""
    rows = [
        (f"`{found.key}`", _code(value_text(found.a)), _code(value_text(found.b)))
        for found in comparison.parameters
    ]
    a, b = comparison.a, comparison.b
    rows += [(f"`{a.key_of(name)}`", "in A alone", "–") for name in comparison.only_a]
    rows += [(f"`{b.key_of(name)}`", "–", "in B alone") for name in comparison.only_b]
    return markdown_table(("key", "A", "B"), "lll", rows)


def reruns(comparison: Comparison) -> str:
    """Stages that are not the same; those of several models stand together."""
    groups: dict[tuple, list[Rerun]] = {}
    for rerun in comparison.reruns:
        groups.setdefault((rerun.group, rerun.outcome, _because(rerun)), []).append(rerun)
    a, b = comparison.a.seconds, comparison.b.seconds
    return markdown_table(
        ("stage", "outcome", "because of", "seconds, A", "seconds, B"),
        "lllrr",
        (
            (
                _stage_names(group, members, comparison.models),
                outcome,
                because.replace(".*.", f".{members[0].model}.") if len(members) == 1 else because,
                _seconds(a.get(rerun.stage) for rerun in members),
                _seconds(b.get(rerun.stage) for rerun in members),
            )
            for (group, outcome, because), members in groups.items()
        ),
    )


def _stage_names(group: str, members: list[Rerun], zoo: list[str]) -> str:
    models = [rerun.model for rerun in members]
    if not all(models):
        return f"`{group}`"
    every = len(models) == len(zoo) > 1
    return f"`{group}` of " + (f"all {len(zoo)} models" if every else names(models))


def _because(rerun: Rerun) -> str:
    """Parameters, code, what lies upstream: a star for the model's own name, so that rows join."""
    parts = []
    if rerun.parameters:
        keys = [key.replace(f".{rerun.model}.", ".*.") for key in rerun.parameters]
        parts.append(f"parameters {_some(keys)}")
    if rerun.code:
        parts.append(f"code {_some(rerun.code)}")
    if rerun.data:
        parts.append(f"data {_some(rerun.data)}")
    if rerun.upstream:
        parts.append("upstream " + _some(dict.fromkeys(s.split("@")[0] for s in rerun.upstream)))
    if rerun.outcome in ("only in A", "only in B"):
        return "–"
    return "; ".join(parts) or "nothing that DVC tracks"


def _some(items: Iterable[str]) -> str:
    """The first three, and how many more there are."""
    names = [f"`{item}`" for item in items]
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def _seconds(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known):.0f}" if known else "–"


def verdicts(comparison: Comparison) -> str:
    """All arguments; a mark where the outcome changed, and where only the rule did."""
    rows = []
    for verdict in comparison.verdicts:
        mark = "same"
        if verdict.differs:
            mark = "**●\u00a0changed**" if comparison.judged else "one run"
        elif verdict.thresholds_differ:
            mark = "same, by other thresholds"
        shown = [
            f"**{outcome}**" if mark.startswith("**") and outcome else outcome or "–"
            for outcome in (verdict.a, verdict.b)
        ]
        rows.append((f"{verdict.argument}. {verdict.title}", *shown, mark))
    return markdown_table(("argument", "A", "B", ""), "llll", rows)


def verdict_checks(comparison: Comparison) -> str:
    """Every check that held in one run alone."""
    return markdown_table(
        ("argument", "check", "models", "A", "B"),
        "lllll",
        (
            (
                str(verdict.argument),
                question,
                ", ".join(f"`{model}`" for model in models),
                _HELD[in_a],
                _HELD[in_b],
            )
            for verdict in comparison.verdicts
            for question, models, in_a, in_b in verdict.checks
        ),
    )


def metrics(comparison: Comparison) -> str:
    """Every metric of every model that differs, with intervals, change and mark."""
    rows, last = [], ""
    for row in comparison.rows:
        if row.model not in comparison.changed_models:
            continue
        rows.append(
            (
                "" if row.model == last else f"`{row.model}`",
                row.label,
                _estimate(row, row.a, row.interval_a),
                _estimate(row, row.b, row.interval_b),
                quantity(row.metric, row.change, signed=True),
                quantity(row.metric, yardstick(comparison.spreads, row.metric)),
                _MARKS[row.mark],
            )
        )
        last = row.model
    return markdown_table(
        ("model", "metric", "A (95 % interval)", "B (95 % interval)", "change", "seeds", "mark"),
        "llrrrrl",
        rows,
    )


def _estimate(row: Row, value: float | None, interval: Interval | None) -> str:
    if value is None or interval is None:
        return quantity(row.metric, value)
    low, high = (quantity(row.metric, end) for end in interval)
    return f"{quantity(row.metric, value)} ({low} to {high})"


def origins(comparison: Comparison) -> str:
    """Text and environment: what differs, and what one of the runs does not say."""
    return markdown_table(
        ("what", "A", "B", ""),
        "llll",
        (
            (fact.name, fact.a or "not known", fact.b or "not known", _difference(fact.differs))
            for fact in comparison.facts
        ),
    )


def _difference(differs: bool | None) -> str:
    return {True: "**●\u00a0changed**", False: "same", None: "not known"}[differs]


def packages(comparison: Comparison) -> str:
    return _changes(comparison.packages, "package")


def sources(comparison: Comparison) -> str:
    return _changes(comparison.sources, "source")


def _changes(changes: Sequence[Change], what: str) -> str:
    """At most so many rows: another corpus has hundreds of other sources."""
    shown = changes[:_MOST] if len(changes) > _MOST + 1 else changes
    rows = [(f"`{change.name}`", change.a or "–", change.b or "–") for change in shown]
    if len(shown) < len(changes):
        rows.append((f"and {len(changes) - len(shown)} more", "", ""))
    return markdown_table((what, "A", "B"), "lll", rows)


def _code(text: str) -> str:
    return text if text == "–" else f"`{short_digest(text)}`"
