"""Tables and sentences on argument 4: what the models do in context, and by which heads."""

from collections.abc import Iterator

import polars as pl

from induction.report.figures.behaviours import judged
from induction.report.results import Results
from induction.report.text import markdown_table, names, number, percent
from induction.study.behaviours import TaskResult
from induction.study.head_kinds import head_names
from induction.study.intervals import Interval

_FIRST_COPY = ("literal copying", "text, first copy")


def table(results: Results) -> str:
    """Every behaviour: the best model's accuracy against chance, who does it, who needs its
    induction heads for it."""
    rows = []
    for behaviour, variant, _ in judged(results):
        asked = list(_of(results, behaviour, variant))
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
    """Attention of each model's best induction head to the right places, and its share of what goes
    to places of right and wrong answers."""
    shown = results.with_induction_heads
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
    found = [
        f"`{name}` in {d.behaviour}: {d.variant} ({percent(d.accuracy)} right, chance "
        f"{percent(d.chance)})"
        for name, model in results.models.items()
        for d in model.tasks
        if d.prior_wins(results.config.verdicts)
    ]
    if not found:
        return ""
    return (
        "A prior wins over the context where answers are right less often than by chance, and yet "
        f"become likelier by the labels of the prompt: {'; '.join(found)}."
    )


def _attention(right: float, share: float | None) -> str:
    return number(right) + ("" if share is None else f" ({percent(share)})")


def can_and_cannot(results: Results) -> str:
    """A plain paragraph on what the models of this study do beyond copying."""
    total = len(results.behaviours)
    with_heads = results.with_induction_heads
    sentences = [
        f"{len(with_heads)} of {total} models have induction heads.",
        _first_copy_sentence(results),
        _kind_sentence(
            results, "loose", "tasks in which the prefix is only like the earlier one, or longer"
        ),
        _kind_sentence(results, "abstract", "tasks for which no repeated prefix is enough"),
    ]
    at_chance = [
        d
        for name in with_heads
        for d in results.models[name].tasks
        if d.kind == "abstract" and not d.does(results.config.verdicts)
    ]
    if at_chance:
        dearer = [d for d in at_chance if d.needs_induction]
        sentences.append(
            "Where models with induction heads are not above chance in abstract tasks, the loss of "
            "the answers still rises more without these heads than without others in "
            f"{len(dearer)} of {len(at_chance)} cases; @tbl-looking tells how well the heads tell "
            "right places from wrong ones there."
        )
    return " ".join(sentences)


def not_asked(results: Results) -> str:
    """What could not be asked, and why, in one sentence; nothing where all could."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for name, own in results.behaviours.items():
        rows = own.tasks.filter(pl.col("why_not").is_not_null())
        for behaviour, variant, why in rows.select("behaviour", "variant", "why_not").iter_rows():
            reasons.setdefault((f"{behaviour}: {variant}", why), []).append(name)
    if not reasons:
        return "Every task fits the vocabulary and the context of every model."
    total = len(results.behaviours)
    told = (
        f"{task} ({why}; {'all models' if len(models) == total else names(models)})"
        for (task, why), models in reasons.items()
    )
    return f"Not asked: {'; '.join(told)}."


def _of(results: Results, behaviour: str, variant: str) -> Iterator[tuple[str, TaskResult]]:
    for name, model in results.models.items():
        for result in model.tasks:
            if (result.behaviour, result.variant) == (behaviour, variant):
                yield name, result


def _cost_range(asked: list[tuple[str, TaskResult]]) -> str:
    costs = [d.knocked_out.mean for _, d in asked if d.knocked_out]
    if not costs:
        return "–"
    low, high = min(costs), max(costs)
    return number(low) if len(costs) == 1 else f"{number(low)} to {number(high)}"


def _first_copy_sentence(results: Results) -> str:
    """How often a passage of text is continued rightly before it was seen."""
    firsts = [
        (float(row["accuracy"]), float(row["chance"]))
        for own in results.behaviours.values()
        for row in own.behaviours.filter(
            (pl.col("behaviour") == _FIRST_COPY[0])
            & (pl.col("variant") == _FIRST_COPY[1])
            & (pl.col("condition") == "intact")
            & (pl.col("step") == pl.col("step").max())
        ).iter_rows(named=True)
    ]
    if not firsts:
        return ""
    return (
        "In natural text that is read for the first time, models pick the right token among the "
        f"candidates in {percent(min(firsts)[0])} to {percent(max(firsts)[0])} of places (chance: "
        f"{percent(firsts[0][1])}): what a second reading adds to that is copying."
    )


def _kind_sentence(results: Results, kind: str, what: str) -> str:
    """How many models are above chance in tasks of a kind, and by their induction heads."""
    done: dict[str, list[TaskResult]] = {}
    for name, model in results.models.items():
        for result in model.tasks:
            if result.kind == kind and result.does(results.config.verdicts):
                done.setdefault(name, []).append(result)
    if not done:
        return f"None is detectably above chance in {what}."
    variants = dict.fromkeys(f"{d.behaviour}: {d.variant}" for own in done.values() for d in own)
    needed = sum(d.needs_induction for own in done.values() for d in own)
    total = sum(len(own) for own in done.values())
    one = len(done) == 1
    cases = f"In {needed} of these {total} cases" if total > 1 else "There"
    rises = "rises" if total > 1 or needed else "does not rise"
    return (
        f"{len(done)} of {len(results.behaviours)} models {'is' if one else 'are'} above chance in "
        f"{what} ({'; '.join(variants)}). {cases} the loss of the answers {rises} more without the "
        "induction heads, and without their pattern alone, than without others."
    )
