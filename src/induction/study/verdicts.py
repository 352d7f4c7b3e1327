"""Verdicts on the paper's arguments: rules written down before the numbers, applied by code.

Each rule takes the summaries of all models and gives a `Verdict`. Models are told apart by what
they are (layers, smeared keys), never by name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Literal

from induction.config import Verdicts as Thresholds
from induction.study.summary import ModelSummary

Outcome = Literal["supported", "not supported", "not tested"]


@dataclass(frozen=True)
class Check:
    """One condition of a rule: what was asked, of which models, and whether it held."""

    question: str
    models: tuple[str, ...]
    numbers: dict[str, float | None]
    held: bool


@dataclass(frozen=True)
class Verdict:
    """The outcome of one argument, with every number that it rests on.

    outcome is "not tested" when the zoo lacks models that the rule needs.
    """

    argument: int
    title: str
    claim: str
    rule: str
    outcome: Outcome
    checks: tuple[Check, ...]


def judge(summaries: Sequence[ModelSummary], thresholds: Thresholds) -> list[Verdict]:
    """All verdicts, in the order of the paper's arguments."""
    return [co_occurrence(summaries, thresholds), co_perturbation(summaries, thresholds)]


def co_occurrence(summaries: Sequence[ModelSummary], thresholds: Thresholds) -> Verdict:
    """Argument 1: prefix-matching heads form when in-context learning improves abruptly."""
    plain = [s for s in summaries if not s.entry.smeared_keys]
    controls = [s for s in plain if s.entry.n_layers == 1]
    deeper = [s for s in plain if s.entry.n_layers > 1]
    checks = [
        *(_no_change(s) for s in controls),
        _some_change(deeper),
        *(_together(s, thresholds.max_lag) for s in summaries if s not in controls),
    ]
    return Verdict(
        argument=1,
        title="Co-occurrence",
        claim="Induction heads form in the same narrow window of training in which in-context "
        "learning improves abruptly; models that cannot form them show neither.",
        rule="No plain one-layer model has a phase change or a prefix-matching head; at least one "
        "deeper plain model has a phase change; and every other model has both or neither, with "
        f"the heads half formed inside the band or within {thresholds.max_lag} e-folds of it. "
        f"A head counts from a score of {thresholds.head_score}.",
        outcome=_outcome(bool(controls and deeper), checks),
        checks=tuple(checks),
    )


def _outcome(tested: bool, checks: Sequence[Check]) -> Outcome:
    if not tested:
        return "not tested"
    return "supported" if all(check.held for check in checks) else "not supported"


def _some_change(deeper: Sequence[ModelSummary]) -> Check:
    return Check(
        question="a phase change in at least one plain model of two or more layers",
        models=tuple(s.name for s in deeper),
        numbers={"models_with_change": float(sum(s.change is not None for s in deeper))},
        held=any(s.change for s in deeper),
    )


def _no_change(s: ModelSummary) -> Check:
    return Check(
        question="no phase change and no prefix-matching head in one layer",
        models=(s.name,),
        numbers={
            "onset_tokens": s.change.onset_tokens if s.change else None,
            "max_prefix_matching": s.max_prefix_matching,
        },
        held=s.change is None and s.heads_formed_tokens is None,
    )


def _together(s: ModelSummary, max_lag: float) -> Check:
    lag = None
    if s.change and s.heads_formed_tokens:
        lag = _distance(s.heads_formed_tokens, s.change.band_tokens)
    neither = s.change is None and s.heads_formed_tokens is None
    return Check(
        question="phase change and prefix-matching heads together, or neither",
        models=(s.name,),
        numbers={
            "onset_tokens": s.change.onset_tokens if s.change else None,
            "heads_formed_tokens": s.heads_formed_tokens,
            "lag": lag,
        },
        held=neither or (lag is not None and abs(lag) <= max_lag),
    )


def _distance(tokens: float, band: tuple[float, float]) -> float:
    """Distance to a band in e-folds: 0 inside it, negative before it."""
    if tokens < band[0]:
        return log(tokens / band[0])
    return max(0.0, log(tokens / band[1]))


def co_perturbation(summaries: Sequence[ModelSummary], thresholds: Thresholds) -> Verdict:
    """Argument 2: making induction heads easier to form brings the change where it was not,
    or brings it earlier."""
    pairs = [
        (s, plain)
        for s in summaries
        if s.entry.smeared_keys
        for plain in summaries
        if not plain.entry.smeared_keys and _same_but_for_keys(s, plain)
    ]
    checks = [
        _appears(s, plain, thresholds.min_icl_gain)
        if s.entry.n_layers == 1
        else _comes_earlier(s, plain)
        for s, plain in pairs
    ]
    return Verdict(
        argument=2,
        title="Co-perturbation",
        claim="Smeared keys, which let one layer do the previous-token head's work, bring the "
        "phase change to one-layer models and bring it earlier in deeper ones.",
        rule="With one layer, the smeared model has a phase change, the plain one has none, and "
        f"the smeared one ends at least {thresholds.min_icl_gain} nats better in ICL score; with "
        "more layers, the smeared model's onset comes after fewer tokens than the plain one's. "
        "Each smeared model is compared with every plain model of the same depth and kind.",
        outcome=_outcome(any(s.entry.n_layers == 1 for s, _ in pairs), checks),
        checks=tuple(checks),
    )


def _same_but_for_keys(a: ModelSummary, b: ModelSummary) -> bool:
    def kind(s: ModelSummary) -> tuple:
        return (s.entry.n_layers, s.entry.attn_only, s.entry.optimizer)

    return kind(a) == kind(b)


def _appears(smeared: ModelSummary, plain: ModelSummary, min_gain: float) -> Check:
    gain = plain.icl_score - smeared.icl_score
    return Check(
        question="phase change with smeared keys and none without, and a better ICL score",
        models=(smeared.name, plain.name),
        numbers={
            "onset_tokens": smeared.change.onset_tokens if smeared.change else None,
            "plain_onset_tokens": plain.change.onset_tokens if plain.change else None,
            "icl_gain": gain,
        },
        held=smeared.change is not None and plain.change is None and gain >= min_gain,
    )


def _comes_earlier(smeared: ModelSummary, plain: ModelSummary) -> Check:
    a, b = smeared.change, plain.change
    return Check(
        question="phase change earlier with smeared keys, or only with them",
        models=(smeared.name, plain.name),
        numbers={
            "onset_tokens": a.onset_tokens if a else None,
            "plain_onset_tokens": b.onset_tokens if b else None,
        },
        held=a is not None and (b is None or a.onset_tokens < b.onset_tokens),
    )
