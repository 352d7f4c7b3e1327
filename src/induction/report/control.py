"""Table and verdict on control: whether induction heads are a handle, by reports/beyond.md."""

from induction.report import provenance
from induction.report.results import Results
from induction.report.sentences import sentence
from induction.report.text import markdown_table, number, percent
from induction.study.beyond.control import Best, ModelControl
from induction.study.beyond.steering import COPYING, INDUCTION, SampleMean

_WRITTEN = "reports/beyond.md"
_HELD = {False: "fails", None: "open"}


def verdict(results: Results) -> str:
    """The outcome, on how many models and prompts, and where the rule stands."""
    control = results.beyond.control
    written = provenance.written_in(results, _WRITTEN)
    counts = {control.models[name].prompts for name in control.tested}
    return sentence(
        *("beyond", "control"),
        outcome=control.outcome,
        models=len(control.tested),
        prompts=max(counts, default=None),
        written=_WRITTEN,
        commit=written and written[0],
    )


def table(results: Results) -> str:
    """Every model with induction heads: the conditions of the rule, the best scale, its cost."""
    rows = [
        (
            f"`{name}`",
            own.outcome,
            _conditions(own),
            _copying(results, name, own.best),
            f"{own.best.scale:g}",
            _change(own.best.cost),
            _change(own.best.repetition),
        )
        for name, own in results.beyond.control.models.items()
        if own.best
    ]
    header = (
        *("model", "verdict", "conditions", "copying at 0, 1, best", "best scale"),
        *("loss there (nats)", "repetition there"),
    )
    return markdown_table(header, "lllrrrr", rows) if rows else sentence("beyond", "no_handle")


def _conditions(own: ModelControl) -> str:
    """How many held, and the others by name."""
    if not own.conditions:
        return "–"
    held = sum(condition.held is True for condition in own.conditions)
    rest = [f"{_HELD[c.held]}: {c.kind}" for c in own.conditions if not c.held]
    return "; ".join([f"{held} of {len(own.conditions)} hold", *rest])


def _copying(results: Results, name: str, best: Best) -> str:
    """Accuracies at scales 0, 1 and the best one."""
    own = results.steering.filter(model=name, measure=COPYING, heads=INDUCTION)
    values = dict(own.select("scale", "value").iter_rows())
    return ", ".join(percent(values.get(scale)) for scale in (0.0, 1.0, best.scale))


def _change(change: SampleMean) -> str:
    ends = f"{number(change.low)} to {number(change.high)}"
    return f"{'+' if change.mean > 0 else ''}{number(change.mean)} ({ends})"
