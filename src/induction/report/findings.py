"""What came out of each argument, in one line with its numbers: the report's first table."""

from collections.abc import Callable, Sequence

from induction.report import causes, over_seeds, seeds
from induction.report.results import Results
from induction.report.sentences import Values, sentence
from induction.report.text import markdown_table
from induction.study.kinds import find_kinds, kind_label
from induction.study.over_seeds.verdict import LEVEL, SeedVerdict
from induction.study.verdicts import Check, Verdict
from induction.study.verdicts.verdict import Kind


def outcome_sentences(results: Results) -> str:
    """The two sentences that a hurried reader needs."""
    traced = [name for name, model in results.models.items() if model.traced]
    by_outcome = {
        outcome: [v.argument for v in results.verdicts if v.outcome == outcome]
        for outcome in ("supported", "not supported", "inconclusive", "not tested")
    }
    return sentence(
        *("findings", "outcome"),
        traced=traced,
        changed=[name for name in traced if name in results.changed],
        flat=[name for name in traced if name not in results.changed],
        few=[name for name in results.models if name not in traced],
        arguments=len(results.verdicts),
        by_outcome={outcome: found for outcome, found in by_outcome.items() if found},
    )


def over_seeds_sentence(results: Results) -> str:
    """What the tests over seeds found, and on what grounds one does not speak for its argument;
    nothing where none was run."""
    tested = [v for v in results.over_seeds.verdicts if v.outcome != "not tested"]
    apart = [
        {"argument": v.argument, "outcome": v.outcome, "grounds": _grounds(v)}
        for v in tested
        if v.outcome != "supported"
    ]
    supported = [str(v.argument) for v in tested if v.outcome == "supported"]
    return sentence("findings", "over_seeds", supported=supported, apart=apart) if tested else ""


def _grounds(found: SeedVerdict) -> Values:
    """Conditions that do not hold, measures whose interval speaks against the argument, the p-value
    where it is not small, and what was shown beside an inconclusive one."""
    return {
        "conditions": [each for each in found.conditions if not each.held],
        "measures": [each for each in found.measures if each.beyond],
        "p": found.corrected if (found.corrected or 0.0) >= LEVEL else None,
        "shown": list(found.shown) if found.outcome == "inconclusive" else [],
    }


def verdict(results: Results, argument: int) -> str:
    """The outcome of an argument's rule with its grounds, as Markdown."""
    found = results.verdict(argument)
    unsettled = [check for check in found.checks if check.held is None]
    return sentence(
        *("findings", "verdict"),
        outcome=found.outcome,
        checks=len(found.checks),
        failed=[check for check in found.checks if check.held is False],
        unsettled=unsettled,
        settle=list(dict.fromkeys(check.settle for check in unsettled)),
    )


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
                sentence("findings", f"argument_{v.argument}", **_VALUES[v.argument](results, v)),
                seeds.of_verdict(results, v),
                v.evidence,
            )
            for v in results.verdicts
        ),
    )


def _co_occurrence(results: Results, verdict: Verdict) -> Values:
    together = [c for c in verdict.checks if c.numbers.get("lag") is not None]
    alone = verdict.checks_of("no change in one layer")
    rules = verdict.checks_of("both onset rules agree")
    return {
        "inside": _held(together),
        "together": len(together),
        "neither": _held(alone),
        "alone": len(alone),
        "apart": [name for check in rules if not check.held for name in check.models],
        **causes.co_occurring(results),
    }


def _co_perturbation(results: Results, verdict: Verdict) -> Values:
    """By kind, over seeds: the onsets of the smeared one, and of those it is compared to."""
    kinds = find_kinds(results.config.studied).values()
    label = {name: kind_label(names) for names in kinds for name in names}
    own: dict[str, dict[str, float | None]] = {}
    plain: dict[str, dict[str, dict[str, float | None]]] = {}
    for check in verdict.checks:
        (smeared, other), numbers = check.models, check.numbers
        own.setdefault(label[smeared], {})[smeared] = numbers["onset_tokens"]
        others = plain.setdefault(label[smeared], {}).setdefault(label[other], {})
        others[other] = numbers["plain_onset_tokens"]
    onsets = {
        kind: (list(own[kind].values()), {k: list(v.values()) for k, v in others.items()})
        for kind, others in plain.items()
    }
    return {"onsets": onsets}


def _ablation(results: Results, verdict: Verdict) -> Values:
    kinds: dict[str, Kind] = {
        "removed": "induction heads carry the gain",
        "by_others": "other heads do not",
    }
    return {
        name: [check.value("removed_share") for check in verdict.checks_of(kind)]
        for name, kind in kinds.items()
    }


def _generality(results: Results, verdict: Verdict) -> Values:
    held: dict[str, list[bool | None]] = {}
    for check in verdict.checks:
        held.setdefault(check.models[0], []).append(check.held)
    loose = {
        name
        for name, model in results.models.items()
        for result in model.behaviours
        if result.kind == "loose"
        and result.does(results.config.verdicts)
        and result.needs_induction
    }
    return {
        "abstract": len(held),
        "served": sum(all(each) for each in held.values()),
        "unsettled": sum(None in each and False not in each for each in held.values()),
        "loose": len(loose),
        "models": len(results.models),
    }


def _mechanism(results: Results, verdict: Verdict) -> Values:
    return {"held": _held(verdict.checks), "heads": len(verdict.checks)}


def _extrapolation(results: Results, verdict: Verdict) -> Values:
    depths = {
        model.n_layers
        for model in (results.config.studied[name] for name in results.changed)
        if model.attn_only and model.plain
    }
    return {
        "depths": len(depths),
        "onset_steps": [abs(check.value("onset_step")) for check in verdict.checks],
        "steps": [abs(check.value("icl_step")) for check in verdict.checks],
        "needed": results.config.verdicts.min_depths,
    }


def _held(checks: Sequence[Check]) -> int:
    return sum(check.held is True for check in checks)


_VALUES: dict[int, Callable[[Results, Verdict], Values]] = {
    1: _co_occurrence,
    2: _co_perturbation,
    3: _ablation,
    4: _generality,
    5: _mechanism,
    6: _extrapolation,
}
