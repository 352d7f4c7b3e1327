"""Whether induction heads are a handle on copying: the rule of reports/beyond.md, "Control".

It stands beside the paper's arguments, not among them.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from induction.config import Verdicts as Thresholds
from induction.study.beyond.steering import (
    COPYING,
    FEW_SHOT,
    INDUCTION,
    LOSS,
    RANDOM,
    REPETITION,
    SampleMean,
    Steered,
    mean_of,
)
from induction.study.verdicts.verdict import Outcome, outcome


@dataclass(frozen=True)
class ControlCondition:
    """One condition of the rule: held is None where it cannot be told.

    found: the difference that decides; of several, the one that speaks most for the claim, but for
    `falls`, where it is the one that speaks most against. None where nothing could be looked at.
    where: which task and scale it is of.
    """

    kind: Literal["falls", "halved", "more than others", "rises"]
    held: bool | None
    found: SampleMean | None
    where: str


@dataclass(frozen=True)
class Best:
    """The best scale; cost: rise of the loss from scale 1, in nats per token of the study.
    repetition: its change from scale 1."""

    scale: float
    cost: SampleMean
    repetition: SampleMean


@dataclass(frozen=True)
class ModelControl:
    """What was found of one model. prompts: of each task. best: None without induction heads."""

    outcome: Outcome
    prompts: int
    conditions: tuple[ControlCondition, ...]
    best: Best | None


@dataclass(frozen=True)
class Control:
    """The verdict, the plain models that it is over, and every model by name."""

    outcome: Outcome
    tested: tuple[str, ...]
    models: dict[str, ModelControl]


def judge_control(
    steered: Mapping[str, Steered], plain: Collection[str], thresholds: Thresholds
) -> Control:
    """Apply the rule to all models. plain: those whose architecture the verdict is about."""
    models = {name: _judge(own, thresholds) for name, own in steered.items()}
    tested = [name for name in models if name in plain and models[name].conditions]
    conditions = [condition for name in tested for condition in models[name].conditions]
    return Control(outcome(bool(conditions), conditions), tuple(tested), models)


def _judge(own: Steered, thresholds: Thresholds) -> ModelControl:
    tested = own.controlled and own.has(COPYING)
    if tested:
        copies = mean_of(own.samples(COPYING, 1.0))
        tested = copies.low >= own.chance(COPYING) + thresholds.above_chance
    conditions = (
        (
            _falls(own),
            _halved(own, thresholds.steered_removed),
            _more_than_others(own),
            _rises(own, thresholds.steered_rise),
        )
        if tested
        else ()
    )
    return ModelControl(
        outcome=outcome(bool(conditions), conditions),
        prompts=len(own.samples(COPYING, 1.0)),
        conditions=conditions,
        best=_best(own),
    )


def _falls(own: Steered) -> ControlCondition:
    """From scale to scale, from 1 to 0, literal copying does not rise."""
    scales = [scale for scale in own.scales if scale <= 1]
    steps = {
        f"{COPYING} from {upper:g} to {lower:g}": mean_of(
            own.samples(COPYING, lower) - own.samples(COPYING, upper)
        )
        for lower, upper in pairwise(scales)
    }
    if any(step.low > 0 for step in steps.values()):
        held = False
    else:
        held = True if all(step.mean <= 0 for step in steps.values()) else None
    where = max(steps, key=lambda name: steps[name].low)
    return ControlCondition("falls", held, steps[where], where)


def _halved(own: Steered, removed: float) -> ControlCondition:
    """At 0, literal copying above chance is at most 1 − `removed` of that at 1."""
    chance = own.chance(COPYING)
    kept = (1 - removed) * (own.samples(COPYING, 1.0) - chance)
    found = mean_of(kept - (own.samples(COPYING, 0.0) - chance))
    held = True if found.low >= 0 else False if found.high < 0 else None
    return ControlCondition("halved", held, found, f"{COPYING} at 0")


def _more_than_others(own: Steered) -> ControlCondition:
    """At 0, literal copying is lower than with the control at 0."""
    found = mean_of(own.samples(COPYING, 0.0, RANDOM) - own.samples(COPYING, 0.0))
    held = True if found.low > 0 else False if found.high <= 0 else None
    return ControlCondition("more than others", held, found, f"{COPYING} at 0")


def _rises(own: Steered, rise: float) -> ControlCondition:
    """At some scale above 1, a task with room is done better than at 1, and than by the control."""
    tasks = [task for task in (COPYING, FEW_SHOT) if own.has(task)]
    tasks = [task for task in tasks if mean_of(own.samples(task, 1.0)).high <= 1 - rise]
    looked = [(task, scale) for task in tasks for scale in own.scales if scale > 1]
    found: dict[str, tuple[SampleMean, SampleMean]] = {}
    for task, scale in looked:
        up = own.samples(task, scale)
        others = (own.samples(task, 1.0), own.samples(task, scale, RANDOM))
        over_itself, over_control = (mean_of(up - other, len(looked)) for other in others)
        found[f"{task} at {scale:g}"] = over_itself, over_control
    if not found:
        return ControlCondition("rises", None, None, "no task has room to rise")
    held = None
    if any(min(each.low for each in pair) > 0 for pair in found.values()):
        held = True
    elif all(min(each.high for each in pair) < rise for pair in found.values()):
        held = False
    where = max(found, key=lambda name: min(each.low for each in found[name]))
    return ControlCondition("rises", held, min(found[where], key=lambda each: each.low), where)


def _best(own: Steered) -> Best | None:
    """The scale of the highest accuracies above chance; the lowest of several."""
    tasks = [task for task in (COPYING, FEW_SHOT) if own.has(task)]
    if not tasks:
        return None

    def done(scale: float) -> float:
        accuracies = {task: float(own.samples(task, scale).mean()) for task in tasks}
        return sum(
            (a - own.chance(task)) / (1 - own.chance(task)) for task, a in accuracies.items()
        )

    scale = max(own.scales, key=done)
    change = {
        measure: mean_of(own.samples(measure, scale, INDUCTION) - own.samples(measure, 1.0))
        for measure in (LOSS, REPETITION)
    }
    return Best(scale, change[LOSS], change[REPETITION])
