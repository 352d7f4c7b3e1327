"""What came out of each argument, in one line with its numbers: the report's first table."""

from collections.abc import Callable

from induction.report import causes, over_seeds, seeds
from induction.report.results import Results
from induction.report.text import markdown_table, names, number, onset, percent
from induction.study.verdicts import Verdict


def outcome_sentences(results: Results) -> str:
    """The two sentences that a hurried reader needs."""
    traced = [name for name, model in results.models.items() if model.traced]
    changed = [name for name in traced if name in results.changed]
    flat = [name for name in traced if name not in changed]
    total = len(traced)
    if not changed:
        first = f"In none of {total} models did in-context learning change abruptly."
    elif not flat:
        first = f"In all {total} models in-context learning changed abruptly."
    else:
        first = (
            f"In {len(changed)} of {total} models in-context learning changed abruptly, "
            f"in {names(flat)} it did not."
        )
    if few := [name for name in results.models if name not in traced]:
        first += f" In {names(few)} it cannot be told: there are too few snapshots."
    counts = []
    for outcome in ("supported", "not supported", "inconclusive", "not tested"):
        arguments = [str(v.argument) for v in results.verdicts if v.outcome == outcome]
        if arguments:
            verb = "is" if len(arguments) == 1 else "are"
            counts.append(f"{len(arguments)} {verb} **{outcome}** ({', '.join(arguments)})")
    return f"{first} Of the paper's {len(results.verdicts)} arguments, {'; '.join(counts)}."


def verdicts(results: Results) -> str:
    """Every argument with its verdict, that over seeds where there are any, what was found, and
    what kind of evidence that is."""
    return markdown_table(
        ("argument", "verdict", "what was found", "seeds of a kind", "kind of evidence"),
        "lllrl",
        (
            (
                f"{v.argument}. {v.title}",
                f"**{v.outcome}**{over_seeds.beside_verdict(results, v.argument)}",
                _FINDINGS[v.argument](results, v),
                seeds.of_verdict(results, v),
                v.evidence,
            )
            for v in results.verdicts
        ),
    )


def _co_occurrence(results: Results, verdict: Verdict) -> str:
    together = [c for c in verdict.checks if c.numbers.get("lag") is not None]
    alone = verdict.checks_of("no change in one layer")
    inside = sum(c.held is True for c in together)
    neither = sum(c.held is True for c in alone)
    bumps, turns, changed = causes.co_occurring(results)
    return (
        f"heads formed with the change in {inside} of {len(together)} models that have both; "
        f"neither in {neither} of {len(alone)} plain one-layer models. {_other_rule(verdict)}"
        f"Beyond the rule: loss bump in {bumps} of {changed}, sharp turn in {turns} of {changed}"
    )


def _other_rule(verdict: Verdict) -> str:
    """Where the second onset rule finds another answer; nothing where both agree."""
    checks = verdict.checks_of("both onset rules agree")
    apart = [name for check in checks if not check.held for name in check.models]
    return f"By one of the two onset rules alone {names(apart)} changed. " if apart else ""


def _co_perturbation(results: Results, verdict: Verdict) -> str:
    onsets: dict[str, list[str]] = {}
    for check in verdict.checks:
        (smeared, plain), numbers = check.models, check.numbers
        smeared = f"`{smeared}` {onset(numbers['onset_tokens'])}"
        onsets.setdefault(smeared, []).append(f"`{plain}` {onset(numbers['plain_onset_tokens'])}")
    pairs = (f"{smeared} against {', '.join(plain)}" for smeared, plain in onsets.items())
    return f"onsets: {'; '.join(pairs)}" if onsets else "no smeared models to compare"


def _ablation(results: Results, verdict: Verdict) -> str:
    induction = verdict.checks_of("induction heads carry the gain")
    others = verdict.checks_of("other heads do not")
    if not induction:
        return "no plain model has induction heads and a control"
    shares = sorted(check.value("removed_share") for check in induction)
    found = (
        f"without induction heads, {percent(shares[0])} to {percent(shares[-1])} of what the plain "
        "models gained is gone"
    )
    if others:
        most = max(check.value("removed_share") for check in others)
        found += f"; without as many others, at most {percent(most)} on average"
    return found


def _generality(results: Results, verdict: Verdict) -> str:
    held: dict[str, list[bool | None]] = {}
    for check in verdict.checks:
        held.setdefault(check.models[0], []).append(check.held)
    if held:
        served = sum(all(each) for each in held.values())
        unsettled = sum(None in each and False not in each for each in held.values())
        return (
            f"in {served} of {len(held)} models that do something abstract (patterns of "
            "categories, classification, translation), induction heads are needed for it and look "
            "to the right places"
        ) + (f"; in {unsettled} it cannot be told" if unsettled else "")
    loose = {
        name
        for name, model in results.models.items()
        for result in model.behaviours
        if result.kind == "loose"
        and result.does(results.config.verdicts)
        and result.needs_induction
    }
    return (
        "no model with induction heads is detectably above chance in abstract tasks; in "
        f"{len(loose)} of {len(results.models)}, induction heads copy after prefixes that are "
        "only alike or longer"
    )


def _mechanism(results: Results, verdict: Verdict) -> str:
    checks = verdict.checks
    held = sum(check.held is True for check in checks)
    return (
        f"{held} of {len(checks)} induction heads copy, match prefixes through a previous-token "
        "head, and read it with their keys"
    )


def _extrapolation(results: Results, verdict: Verdict) -> str:
    depths = {
        model.n_layers
        for model in (results.config.studied[name] for name in results.changed)
        if model.attn_only and model.plain
    }
    steps = [abs(check.value("icl_step")) for check in verdict.checks]
    moved = f", {number(max(steps))} nats apart at most" if steps else ""
    needed = results.config.verdicts.min_depths
    return f"{len(depths)} depths change{moved}; {needed} would make a series"


_FINDINGS: dict[int, Callable[[Results, Verdict], str]] = {
    1: _co_occurrence,
    2: _co_perturbation,
    3: _ablation,
    4: _generality,
    5: _mechanism,
    6: _extrapolation,
}
