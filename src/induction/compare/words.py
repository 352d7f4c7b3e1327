"""What differs, in sentences: the top of the page and the terminal."""

from collections.abc import Sequence

from induction.compare.comparison import FEW, Comparison
from induction.report.text import names, notice, quantity
from induction.runs.metrics import CLEAR, Mark, Row, yardstick
from induction.runs.parameters import ABSENT, value_text
from induction.runs.run import Run

_FEW = 4  # of anything: more are counted, and stand in the tables


def at_a_glance(comparison: Comparison) -> dict[str, str]:
    """One sentence or two on each kind of difference, as Markdown, by kind."""
    if comparison.identical:
        return {"The same": _identical(comparison)}
    return {
        "Parameters": _parameters(comparison),
        "Models": _models(comparison),
        "Verdicts": _verdicts(comparison),
        "Metrics": _metrics(comparison),
        "Stages": _stages(comparison),
        "Text and environment": _origins(comparison),
    }


def glance_list(comparison: Comparison) -> str:
    """The same as a list, set apart at the top of the page."""
    found = at_a_glance(comparison)
    lines = [f"- **{kind}.** {sentence}" for kind, sentence in found.items()]
    return "\n".join(["::: {.summary}", *lines, ":::"])


def warnings(comparison: Comparison) -> str:
    """A box for results that do not belong to their parameters, else nothing."""
    if not comparison.outdated:
        return ""
    lines = []
    for run, found in comparison.outdated.items():
        label = (comparison.a if run == "A" else comparison.b).label
        reasons = []
        if found.parameters:
            reasons.append(f"parameters changed after they were made ({_listed(found.parameters)})")
        if found.files:
            reasons.append(f"DVC recorded other ones ({_listed(found.files)})")
        if found.models:
            reasons.append(f"{_listed(found.models)} did not run yet")
        lines.append(
            f"The results of {run} (`{label}`) are not those of its state: {'; '.join(reasons)}. "
            "`make study` renews them; until then, this page shows what is there."
        )
    return notice("Results out of date", lines)


def omissions(comparison: Comparison) -> str:
    """A box that says what the runs do not have, else nothing."""
    lines = []
    for name, run in (("A", comparison.a), ("B", comparison.b)):
        lines += [f"In {name}: {sentence}" for sentence in run.left_out]
        if run.missing:
            lines.append(
                f"{name} (`{run.label}`) has no {_and(run.missing, 'or')}: "
                "what rests on them is left out."
            )
        if run.lock_matches is False and comparison.packages:
            lines.append(
                f"{name} was made with another `requirements.lock` than the one that stands in it, "
                "so the packages named below may not be those of its results."
            )
    return notice("Left out", lines) if lines else ""


def origin(run: Run) -> str:
    """Name of the parameters, commit and its day."""
    if run.commit is None:
        return f"parameters `{run.params.get('name', '–')}`, commit not known"
    made = "" if run.exact else "on top of "
    return (
        f"parameters `{run.params.get('name', '–')}`, {made}commit `{run.commit[:12]}` "
        f"of {run.date}"
    )


def intervals_sentence(comparison: Comparison) -> str:
    """What the intervals are over, and what they leave out."""
    sentence = (
        "Intervals are 95 % over evaluation windows (or probe sequences): how far a number would "
        "move with other text to measure on, for the very same weights. They say nothing of "
        "other seeds, with which training itself comes out differently. Two values *differ beyond* "
        "their intervals when these have no point in common; values whose intervals overlap may "
        "differ too."
    )
    if comparison.spreads:
        groups = "; ".join(f"{names(own.models)} of {own.run}" for own in comparison.spreads)
        return (
            f"{sentence} The yardstick for seeds is the greatest distance between models that "
            f"differ in their seed alone ({groups}): a change below it may be chance."
        )
    return f"{sentence} Neither run holds two models that differ in their seed alone."


def seed_sentence(comparison: Comparison) -> str:
    """When the two runs differ in one model's seed, that is what the page is about."""
    if not comparison.seed_alone:
        return ""
    return (
        f"The two runs differ in the seed of {names(comparison.seed_alone)} alone: what follows "
        "shows what chance does."
    )


def parameters_sentence(comparison: Comparison) -> str:
    count = len(comparison.parameters) + len(comparison.only_a) + len(comparison.only_b)
    if not count:
        return "All parameters are the same in both runs."
    sentence = (
        f"{count} {'entry differs' if count == 1 else 'entries differ'}: see @tbl-parameters."
    )
    if comparison.only_a or comparison.only_b:
        sentence += " A model that only one run has counts as one."
    return sentence


def verdicts_sentence(comparison: Comparison) -> str:
    """How many changed, and that thresholds may have."""
    if not comparison.judged:
        return "One of the runs has no verdicts, so they cannot be compared."
    count = sum(verdict.differs for verdict in comparison.verdicts)
    other = [str(v.argument) for v in comparison.verdicts if v.thresholds_differ]
    sentence = f"{count or 'None'} of the {len(comparison.verdicts)} verdicts changed."
    if other:
        plural = "s" if len(other) > 1 else ""
        sentence += f" The thresholds of argument{plural} {_and(other)} changed too."
    return sentence


def curves_sentence(comparison: Comparison) -> str:
    if comparison.a.curves is None or comparison.b.curves is None:
        return "One of the runs has no curves, so they cannot be laid over each other."
    drawn = comparison.drawn_models
    if not drawn:
        return "No model has curves that differ between the runs."
    if len(drawn) <= FEW:
        return f"@fig-curves lays the curves of both runs over each other, for {names(drawn)}."
    return (
        f"@fig-icl, @fig-prefix and @fig-loss lay the curves of both runs over each other, for "
        f"{names(drawn)}."
    )


def space_sentence(comparison: Comparison) -> str:
    """How the common space came about, or why there is none."""
    space, sentence = comparison.space
    if space is None:
        return f"{sentence} So there is no picture of both runs in one space."
    if not comparison.paths_differ:
        return f"{sentence} All models take the same path in both runs."
    return f"@fig-pca shows both runs in one space of per-token losses. {sentence}"


def same_models_sentence(comparison: Comparison) -> str:
    same = [name for name in comparison.models if name not in comparison.changed_models]
    if not same:
        return ""
    verb = "has" if len(same) == 1 else "have"
    return f"{names(same)} {verb} the same metrics and curves in both runs, to the last digit."


def stages_sentence(comparison: Comparison) -> str:
    """How many stages are the same, and how to read the rest."""
    a, b = comparison.a.stages, comparison.b.stages
    if not (a and b):
        return "Without DVC's record of both runs, this cannot be told."
    changed = {rerun.stage for rerun in comparison.reruns}
    kept = [stage for stage in b if stage not in changed]
    if not changed:
        return f"All {len(kept)} stages are the same in both runs."
    return (
        f"{len(kept)} of {len(a.keys() | b.keys())} stages are the same in both runs; "
        f"{len(changed)} {'is' if len(changed) == 1 else 'are'} not, as @tbl-stages says."
    )


def _identical(comparison: Comparison) -> str:
    sentence = (
        "No difference: all parameters, stages, metrics, curves and verdicts are the same in both "
        "runs."
    )
    a, b = comparison.a.commit, comparison.b.commit
    return sentence + (" Both stand on the same commit." if a and a == b else "")


def _parameters(comparison: Comparison) -> str:
    found = comparison.parameters
    if not found:
        return "None differs." if not (comparison.only_a or comparison.only_b) else "No other one."
    count = f"{len(found)} {'differs' if len(found) == 1 else 'differ'}"
    if len(found) > _FEW:
        sections = dict.fromkeys(d.key.split(".")[0] for d in found)
        return f"{count}, in {_and([f'`{section}`' for section in sections])}."
    changes = [f"`{d.key}` ({_value(d.a)} → {_value(d.b)})" for d in found]
    return f"{count}: {_and(changes)}."


def _value(value: object) -> str:
    return "not there" if value is ABSENT else value_text(value)


def _models(comparison: Comparison) -> str:
    sentences = []
    for run, only in (("A", comparison.only_a), ("B", comparison.only_b)):
        if only:
            sentences.append(f"Only in {run}: {names(only)}.")
    only = {*comparison.only_a, *comparison.only_b}
    shared = [name for name in comparison.models if name not in only]
    changed = [name for name in comparison.changed_models if name in shared]
    if not changed:
        sentences.append(f"The results of all {len(shared)} models in both are the same.")
    else:
        every = "all models" if changed == shared else names(changed)
        sentences.append(f"The results of {every} differ.")
    return " ".join(sentences)


def _verdicts(comparison: Comparison) -> str:
    if not comparison.judged:
        return "Not compared: one of the runs has none."
    changed = [v for v in comparison.verdicts if v.differs]
    if not changed:
        return "None changed."
    listed = [
        f"argument {v.argument} ({v.title.lower()}): {v.a or 'no rule'} → **{v.b or 'no rule'}**"
        for v in changed
    ]
    return f"{len(changed)} changed: {'; '.join(listed)}."


def _metrics(comparison: Comparison) -> str:
    clear = [row for row in comparison.rows if row.clear]
    judged = [row for row in comparison.rows if row.mark in ("beyond", "within")]
    if not clear:
        if not any(row.mark not in ("same", "one run") for row in comparison.rows):
            return "All that both runs have are the same."
        unjudged = "" if judged else " No metric that differs has an interval in both runs."
        return f"None differs beyond its interval.{unjudged}"
    count = _and([_count(clear, mark) for mark in CLEAR if any(r.mark == mark for r in clear)])
    if len(clear) > 2 * _FEW:
        models = list(dict.fromkeys(row.model for row in clear))
        every = len(models) == len(comparison.models)
        of = f"all {len(models)} models" if every else names(models)
        return f"**{count}**, of {of}; see @tbl-metrics."
    listed = "; ".join(_clear(row) for row in clear)
    return f"**{count}**: {listed}.{_beyond_seeds(comparison, clear)}"


def _count(clear: Sequence[Row], mark: Mark) -> str:
    """3 differ beyond their intervals."""
    count = sum(row.mark == mark for row in clear)
    verbs = {
        "beyond": ("differs beyond its interval", "differ beyond their intervals"),
        "appears": ("appears in B", "appear in B"),
        "vanishes": ("vanishes in B", "vanish in B"),
    }
    return f"{count} {verbs[mark][count > 1]}"


def _clear(row: Row) -> str:
    change = f"{quantity(row.metric, row.a)} → {quantity(row.metric, row.b)}"
    return f"{row.label} of `{row.model}` ({change})"


def _beyond_seeds(comparison: Comparison, clear: Sequence[Row]) -> str:
    """How many of the changes are also greater than what seeds alone make."""
    measured = [
        (abs(row.change), spread)
        for row in clear
        if row.change is not None
        and (spread := yardstick(comparison.spreads, row.metric)) is not None
    ]
    if not measured:
        return ""
    greater = sum(change > spread for change, spread in measured)
    share = "All" if greater == len(measured) > 1 else f"{greater} of"
    return f" {share} {len(measured)} changes are greater than the distance between seeds."


def _stages(comparison: Comparison) -> str:
    if not (comparison.a.stages and comparison.b.stages):
        return "Not compared: one of the runs has no record of them."
    if not comparison.reruns:
        return "None re-ran."
    groups = dict.fromkeys(rerun.group for rerun in comparison.reruns)
    return f"{len(comparison.reruns)} differ: {_and([f'`{group}`' for group in groups])}."


def _origins(comparison: Comparison) -> str:
    """The text in one word, the environment by its parts."""
    of_text = [fact for fact in comparison.facts if fact.of_text]
    changed = [fact.name for fact in comparison.facts if fact.differs and not fact.of_text]
    if any(fact.differs for fact in of_text) or comparison.sources:
        changed.insert(0, f"the text ({_counted(len(comparison.sources), 'other source')})")
    if comparison.packages:
        changed.append(_counted(len(comparison.packages), "package") + " of `requirements.lock`")
    if changed:
        return f"Changed: {_and(changed)}."
    known = all(fact.differs is not None for fact in comparison.facts)
    return "The same." if known else "The same, as far as both runs say."


def _counted(count: int, what: str) -> str:
    return f"{count or 'no'} {what}{'' if count == 1 else 's'}"


def _listed(reasons: Sequence[str]) -> str:
    shown = [f"`{reason}`" for reason in reasons[:_FEW]]
    more = len(reasons) - len(shown)
    return _and([*shown, f"{more} more"] if more else shown)


def _and(parts: Sequence[str], last: str = "and") -> str:
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"
