"""What the preregistered tests over seeds found: verdicts, measures, conditions and p-values."""

from collections.abc import Iterator

from induction.report import provenance
from induction.report.results import Results
from induction.report.sentences import sentence
from induction.report.text import markdown_table, number
from induction.study.kinds import find_kinds, kind_label
from induction.study.over_seeds import SeedVerdict

_WRITTEN = "reports/preregistration.md"


def tests_if_any(results: Results) -> str:
    """The lead and the table of the tests, or a sentence that there are too few seeds."""
    tested = [verdict for verdict in results.over_seeds.verdicts if verdict.outcome != "not tested"]
    if not tested:
        return sentence("over_seeds", "not_tested", written=_WRITTEN)
    commits = provenance.written_in(results, _WRITTEN)
    left = [_title(verdict) for verdict in results.over_seeds.verdicts if verdict not in tested]
    lead = sentence("over_seeds", "tested", written=_WRITTEN, commits=commits, left=left)
    return f"{lead}\n\n{tests(results)}\n\n{_beside(results)}"


def _beside(results: Results) -> str:
    """Loss bumps and turns of the trajectory by kind, at which the preregistration only looks."""
    if not results.over_seeds.bumps:
        return ""
    kinds = {kind_label(names): names for names in find_kinds(results.config.models).values()}
    rows = []
    for bump in results.over_seeds.bumps:
        turns = [results.loss_space.explained.angles[name] for name in kinds[bump.kind]]
        percentiles = sorted(turn.null_percentile for turn in turns if turn)
        rows.append(
            (
                f"`{bump.kind}`",
                str(bump.seeds),
                sentence("over_seeds", "bump", found=bump),
                f"{percentiles[0]:.0f} to {percentiles[-1]:.0f}" if percentiles else "–",
            )
        )
    header = (
        "kind",
        "seeds",
        "bump of the mean loss (nats)",
        "turn: percentile among shuffled steps",
    )
    return f"{sentence('over_seeds', 'beside')}\n\n{markdown_table(header, 'lrlr', rows)}"


def tests(results: Results) -> str:
    """A row for each measure and condition of each argument."""
    rows = [row for verdict in results.over_seeds.verdicts for row in _rows(verdict)]
    return markdown_table(("argument", "asked over seeds", "found", "interval over"), "llrl", rows)


def beside_verdict(results: Results, argument: int) -> str:
    """The outcome of one argument over seeds with its corrected p-value, to stand behind that of
    the study's rule; nothing where it was not tested."""
    for verdict in results.over_seeds.verdicts:
        if verdict.argument == argument and verdict.outcome != "not tested":
            values = {"outcome": verdict.outcome, "p": _p(verdict.corrected)}
            return sentence("over_seeds", "beside_verdict", **values)
    return ""


def _rows(verdict: SeedVerdict) -> Iterator[tuple[str, str, str, str]]:
    if verdict.seeds is None:
        return
    least, most = verdict.seeds
    seeds = f"{least} seeds" if least == most else f"{least} to {most} seeds"
    p = f"p {_p(verdict.p_value)}, corrected {_p(verdict.corrected)}"
    yield f"{_title(verdict)}, {seeds} of a kind", f"**{verdict.outcome}**", p, ""
    for m in verdict.measures:
        yield "", m.name, f"{number(m.value)} ({number(m.low)} to {number(m.high)})", m.over
    for c in verdict.conditions:
        held = {True: "holds", False: "**does not hold**", None: "open"}[c.held]
        yield "", c.question, f"{c.found}: {held}", ""
    for line in verdict.shown:
        yield "", line, "", "shown alone"


def _title(verdict: SeedVerdict) -> str:
    return f"{verdict.argument}. {verdict.title}"


def _p(value: float | None) -> str:
    return "below 0.001" if value is not None and value < 0.001 else number(value, 3)
