"""Tables and sentences on argument 4: what the models do in context, and by which heads."""

from collections.abc import Iterator

import polars as pl

from induction.report.figures.behaviours import judged
from induction.report.results import Results
from induction.report.sentences import Values, sentence
from induction.report.text import markdown_table, number, percent
from induction.rules.head_kinds import head_names
from induction.rules.intervals import Interval
from induction.study.behaviours import TaskResult

_FIRST_COPY = ("literal copying", "text, first copy")


def table(results: Results) -> str:
    """Every behaviour: the best model's accuracy against chance, who does it, who needs its
    induction heads for it."""
    rows = []
    for behaviour, variant, _ in judged(results):
        asked = _of(results, behaviour, variant)
        best_name, best = max(asked, key=lambda one: one[1].accuracy)
        able = [(name, d) for name, d in asked if d.does(results.config.verdicts)]
        needing = [name for name, d in able if d.needs_induction]
        interval = f"{percent(best.accuracy_low)} to {percent(best.accuracy_high)}"
        rows.append(
            (
                f"{behaviour}: {variant}",
                percent(best.chance),
                f"{percent(best.accuracy)} ({interval}), `{best_name}`",
                f"{len(able)} of {len(asked)}",
                f"{len(needing)} of {len(able)}" if able else "–",
                _cost_range(asked),
            )
        )
    return markdown_table(
        (
            "behaviour",
            "chance",
            "best accuracy (95 % interval)",
            "above chance",
            "by induction heads",
            "cost of losing their pattern (nats)",
        ),
        "lrlrrr",
        rows,
    )


def heads(results: Results) -> str:
    """Attention of each listed model's best induction head to the right places, and its share of
    what goes to places of right and wrong answers."""
    shown = [name for name in results.with_induction_heads if name in results.listed]
    by_model = {
        name: {(d.behaviour, d.variant): d for d in results.models[name].tasks} for name in shown
    }
    rows = []
    for behaviour, variant, _ in judged(results):
        found = [by_model[name].get((behaviour, variant)) for name in shown]
        # Prompts differ between models with tokenizers of their own.
        equals = dict.fromkeys(_attention(d.uniform, d.right_places) for d in found if d)
        equal = " / ".join(equals) or "–"
        cells = (_attention(d.attention, d.right_share) if d else "–" for d in found)
        rows.append((f"{behaviour}: {variant}", equal, *cells))
    return markdown_table(
        ("behaviour", "equal attention", *(f"`{name}`" for name in shown)),
        "l" + "r" * (len(shown) + 1),
        rows,
    )


def looking(results: Results) -> str:
    """Where the induction heads attend in abstract tasks: every model that does one; of a task that
    none does, the model whose heads tell right from wrong most surely."""
    rows = []
    for behaviour, variant, kind in judged(results):
        asked = [(n, d, d.looks) for n, d in _of(results, behaviour, variant) if d.looks]
        done = [one for one in asked if one[1].does(results.config.verdicts)]
        if kind != "abstract" or not asked:
            continue
        for name, result, looks in done or [max(asked, key=lambda one: one[2].low)]:
            rows.append(
                (
                    f"{behaviour}: {variant}",
                    f"`{name}`",
                    "yes" if done else "no",
                    "yes" if result.needs_induction else "no",
                    f"{number(looks.share)} ({_ends((looks.low, looks.high))})",
                    _ends(looks.over_random),
                    _ends(looks.over_shuffled),
                    f"{head_names([looks.head])}: {number(looks.head_share)}",
                )
            )
    header = (
        *("task", "model", "does it", "by induction heads", "share of the right place"),
        *("above other heads", "above shuffled labels", "best head"),
    )
    return markdown_table(header, "llllrrrr", rows) if rows else "No model has induction heads."


def _ends(interval: Interval | None) -> str:
    return "–" if interval is None else " to ".join(number(end) for end in interval)


def prior_sentence(results: Results) -> str:
    """Where a model answers by what the words mean, against the labels of the prompt."""
    thresholds = results.config.verdicts
    cases = [(name, task) for name, task in _tasks(results) if task.prior_wins(thresholds)]
    return sentence("behaviours", "prior", cases=cases) if cases else ""


def _attention(right: float, share: float | None) -> str:
    return number(right) + ("" if share is None else f" ({percent(share)})")


def can_and_cannot(results: Results) -> str:
    """A plain paragraph on what the models of this study do beyond copying."""
    at_chance = [
        task
        for name, task in _tasks(results)
        if name in results.with_induction_heads
        and task.kind == "abstract"
        and not task.does(results.config.verdicts)
    ]
    return sentence(
        *("behaviours", "can_and_cannot"),
        with_heads=len(results.with_induction_heads),
        models=len(results.behaviours),
        first_copies=first_copies(results),
        loose=above_chance(results, "loose"),
        abstract=above_chance(results, "abstract"),
        at_chance=len(at_chance),
        dearer=sum(task.needs_induction for task in at_chance),
    )


def not_asked(results: Results) -> str:
    """What could not be asked, and why."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, own in results.behaviours.items():
        rows = own.tasks.filter(pl.col("why_not").is_not_null())
        for behaviour, variant, why in rows.select("behaviour", "variant", "why_not").iter_rows():
            reasons.setdefault((f"{behaviour}: {variant}", why), []).append(name)
    return sentence("behaviours", "not_asked", reasons=reasons, models=len(results.behaviours))


def _of(results: Results, behaviour: str, variant: str) -> list[tuple[str, TaskResult]]:
    return [
        (name, task)
        for name, task in _tasks(results)
        if (task.behaviour, task.variant) == (behaviour, variant)
    ]


def _tasks(results: Results) -> Iterator[tuple[str, TaskResult]]:
    """What every model does in every task, with its name."""
    return ((name, task) for name, model in results.models.items() for task in model.tasks)


def _cost_range(asked: list[tuple[str, TaskResult]]) -> str:
    costs = [d.knocked_out.mean for _, d in asked if d.knocked_out]
    if not costs:
        return "–"
    low, high = min(costs), max(costs)
    return number(low) if len(costs) == 1 else f"{number(low)} to {number(high)}"


def first_copies(results: Results) -> list[tuple[float, float]]:
    """How often each model continues a passage rightly that it never saw before, and by chance."""
    return [
        (float(row["accuracy"]), float(row["chance"]))
        for own in results.behaviours.values()
        for row in own.behaviours.filter(
            (pl.col("behaviour") == _FIRST_COPY[0])
            & (pl.col("variant") == _FIRST_COPY[1])
            & (pl.col("condition") == "intact")
            & (pl.col("step") == pl.col("step").max())
        ).iter_rows(named=True)
    ]


def above_chance(results: Results, kind: str) -> Values:
    """How many models are above chance in tasks of a kind and in which, in how many cases in all,
    and in how many of these by their induction heads."""
    done = [
        (name, task)
        for name, task in _tasks(results)
        if task.kind == kind and task.does(results.config.verdicts)
    ]
    return {
        "models": len({name for name, _ in done}),
        "tasks": list(dict.fromkeys(f"{task.behaviour}: {task.variant}" for _, task in done)),
        "cases": len(done),
        "by_heads": sum(task.needs_induction for _, task in done),
    }
