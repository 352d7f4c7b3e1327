"""Argument 2: making induction heads easier to form brings the change, or brings it earlier."""

from collections.abc import Sequence

from induction.config import Model
from induction.config import Verdicts as Thresholds
from induction.study.summary import ModelSummary
from induction.study.verdicts.verdict import Check, Verdict, at_least, outcome, settled_by, used


def co_perturbation(summaries: Sequence[ModelSummary], thresholds: Thresholds) -> Verdict:
    """Argument 2: making induction heads easier to form brings the change where it was not,
    or brings it earlier."""
    pairs = [
        (s, plain)
        for s in summaries
        if s.entry.smeared_keys
        for plain in summaries
        if plain.entry.plain and _same_but_for_keys(s, plain)
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
        evidence="interventional",
        thresholds=used(thresholds, "min_icl_gain"),
        outcome=outcome(any(s.entry.n_layers == 1 for s, _ in pairs), checks),
        checks=tuple(checks),
    )


def _same_but_for_keys(a: ModelSummary, b: ModelSummary) -> bool:
    """Of models trained here: those of others have no twin."""
    ours, other = a.entry, b.entry
    if not (isinstance(ours, Model) and isinstance(other, Model)):
        return False

    def kind(entry: Model) -> tuple:
        return (entry.n_layers, entry.attn_only, entry.optimizer)

    return kind(ours) == kind(other)


def _appears(smeared: ModelSummary, plain: ModelSummary, min_gain: float) -> Check:
    gain = plain.icl_score - smeared.icl_score
    better = at_least(smeared.icl_gains.get(plain.name, (gain, gain)), min_gain)
    open_ends = [s.name for s in (smeared, plain) if s.cut_off]
    held: bool | None
    if plain.change or (smeared.change is None and not smeared.cut_off):
        held = False
    elif plain.cut_off or smeared.change is None or (smeared.cut_off and not better):
        held = None
    else:
        held = better
    return Check(
        kind="change with smeared keys alone",
        question="phase change with smeared keys and none without, and a better ICL score",
        models=(smeared.name, plain.name),
        numbers={
            "onset_tokens": smeared.change.onset_tokens if smeared.change else None,
            "plain_onset_tokens": plain.change.onset_tokens if plain.change else None,
            "icl_gain": gain,
        },
        held=held,
        settle=settled_by(held, open_ends),
    )


def _comes_earlier(smeared: ModelSummary, plain: ModelSummary) -> Check:
    a, b = smeared.change, plain.change
    held: bool | None
    if a is None:
        held = None if smeared.cut_off else False
    else:
        held = True if b is None else _before(smeared, plain)
    return Check(
        kind="change earlier with smeared keys",
        question="phase change earlier with smeared keys, or only with them",
        models=(smeared.name, plain.name),
        numbers={
            "onset_tokens": a.onset_tokens if a else None,
            "plain_onset_tokens": b.onset_tokens if b else None,
        },
        held=held,
        settle=settled_by(held, [smeared.name] if a is None else []),
    )


def _before(smeared: ModelSummary, plain: ModelSummary) -> bool | None:
    """Whether the first onset comes earlier; None where the intervals of both overlap."""
    assert smeared.change is not None
    assert plain.change is not None
    a, b = smeared.intervals.get("onset_tokens"), plain.intervals.get("onset_tokens")
    if a and b and max(a[0], b[0]) <= min(a[1], b[1]):
        return None
    return smeared.change.onset_tokens < plain.change.onset_tokens
