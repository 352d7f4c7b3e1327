"""What differs, at a glance: the top of the page and the terminal."""

from induction.compare.comparison import Comparison
from induction.report.sentences import Values, sentence
from induction.report.text import BOX, notice
from induction.runs.metrics import CLEAR, yardstick
from induction.runs.parameters import ABSENT, value_text

_FEW = 4  # of anything: more are counted, and stand in the tables


def at_a_glance(comparison: Comparison) -> dict[str, str]:
    """One sentence or two on each kind of difference, as Markdown, by kind."""
    if comparison.identical:
        return {"The same": sentence("compare", "identical", comparison=comparison)}
    kinds: dict[str, tuple[str, Values]] = {
        "Parameters": ("parameters", parameters(comparison)),
        "Models": ("models", models(comparison)),
        "Verdicts": ("verdicts", {}),
        "Metrics": ("metrics", metrics(comparison)),
        "Stages": ("stages", {}),
        "Text and environment": ("origins", origins(comparison)),
    }
    return {
        kind: sentence("compare", f"glance_{name}", comparison=comparison, **values)
        for kind, (name, values) in kinds.items()
    }


def glance_list(comparison: Comparison) -> str:
    """The same as a list, set apart at the top of the page."""
    found = at_a_glance(comparison)
    lines = [f"- **{kind}.** {told}" for kind, told in found.items()]
    return "\n".join([f"::: {{.summary {BOX}}}", *lines, ":::"])


def warnings(comparison: Comparison) -> str:
    """A box for results that do not belong to their parameters, else nothing."""
    runs = {"A": comparison.a, "B": comparison.b}
    lines = [
        sentence("compare", "outdated", name=name, run=runs[name], reasons=reasons)
        for name, reasons in comparison.outdated.items()
    ]
    return notice("Results out of date", lines) if lines else ""


def omissions(comparison: Comparison) -> str:
    """A box that says what the runs do not have, else nothing."""
    lines = []
    for name, run in (("A", comparison.a), ("B", comparison.b)):
        lines += [sentence("compare", "left_out", name=name, what=what) for what in run.left_out]
        if run.missing:
            lines.append(sentence("compare", "missing", name=name, run=run))
        if run.lock_matches is False and comparison.packages:
            lines.append(sentence("compare", "other_lock", name=name, run=run))
    return notice("Left out", lines) if lines else ""


def parameters(comparison: Comparison) -> Values:
    """How many differ: each with its two values, or where they are many, their sections."""
    found = comparison.parameters
    few = found if len(found) <= _FEW else []
    return {
        "count": len(found),
        "changes": [(d.key, *map(_value, (d.a, d.b))) for d in few],
        "sections": list(dict.fromkeys(d.key.split(".")[0] for d in found)),
    }


def _value(value: object) -> str | None:
    return None if value is ABSENT else value_text(value)


def models(comparison: Comparison) -> Values:
    """The models of both runs, and those of them whose results differ."""
    only = {*comparison.only_a, *comparison.only_b}
    shared = [name for name in comparison.models if name not in only]
    return {
        "shared": shared,
        "changed": [name for name in comparison.changed_models if name in shared],
    }


def metrics(comparison: Comparison) -> Values:
    """How many differ clearly, by mark: each, or where they are many, their models; and how many of
    these changes can be measured against seeds, and are greater than what seeds alone make."""
    marks = [row.mark for row in comparison.rows]
    clear = [row for row in comparison.rows if row.clear]
    measured = [
        (abs(row.change), spread)
        for row in clear
        if row.change is not None
        and (spread := yardstick(comparison.spreads, row.metric)) is not None
    ]
    of = list(dict.fromkeys(row.model for row in clear))
    return {
        "counts": {mark: marks.count(mark) for mark in CLEAR if mark in marks},
        "differs": any(mark not in ("same", "one run") for mark in marks),
        "judged": any(mark in ("beyond", "within") for mark in marks),
        "clear": clear if len(clear) <= 2 * _FEW else [],
        "models": of,
        "every": len(of) == len(comparison.models),
        "measured": len(measured),
        "greater": sum(change > spread for change, spread in measured),
    }


def origins(comparison: Comparison) -> Values:
    """Whether the text differs, what else does by name, and whether both runs say all of it."""
    facts = comparison.facts
    return {
        "of_text": bool(comparison.sources) or any(f.differs for f in facts if f.of_text),
        "facts": [fact.name for fact in facts if fact.differs and not fact.of_text],
        "known": all(fact.differs is not None for fact in facts),
    }
