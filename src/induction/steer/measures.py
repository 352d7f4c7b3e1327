"""What a model does while some of its heads are turned down or up, as rows of one table."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from induction.behave import few_shot, literal_copying, make_tasks
from induction.behave.conditions import INTACT, induction_and_random
from induction.behave.evaluator import evaluate
from induction.behave.material import Material
from induction.behave.task import Task
from induction.config import Behaviours, Steering
from induction.evaluation.evaluation_set import EvaluationSet
from induction.measure.losses import token_losses
from induction.model.interface import Measurable, Shape
from induction.rules.head_kinds import Head
from induction.steer.generation import continuations, repeated_share
from induction.steer.scaled import ScaledHeads

SCHEMA = {
    **{"measure": pl.String, "variant": pl.String},
    **{"heads": pl.String, "draw": pl.Int64, "scale": pl.Float64},
    **{"example": pl.Int64, "value": pl.Float64, "chance": pl.Float64},
}
"""A row for each measure, variant of a task, scaling and sample. heads: none at scale 1; induction;
random, where draw counts the sets; text, for the repetition of the real continuations. chance: of
the tasks alone. value: accuracy, share of repeated 4-grams, or loss in nats per token of the
study."""

_TASKS = (literal_copying.NAME, few_shot.NAME)


@dataclass(frozen=True)
class Scaling:
    """Heads that are scaled together, and by what.

    heads: none, induction or random; draw counts the random sets. chosen: the heads themselves.
    """

    heads: str
    draw: int
    scale: float
    chosen: frozenset[Head]


def scalings(spec: Shape, induction: Collection[Head], settings: Steering) -> list[Scaling]:
    """The model as it is; then each of `induction_and_random` at every scale but 1.

    None without induction heads.
    """
    sets = induction_and_random(spec, induction, settings.random_draws, settings.seed)
    if not sets:
        return []
    return [
        Scaling("none", 0, 1.0, frozenset()),
        *(
            Scaling(each.name, each.draw, scale, each.heads)
            for each in sets
            for scale in settings.scales
            if scale != 1
        ),
    ]


def asked_tasks(material: Material, settings: Behaviours) -> list[Task]:
    """Literal copying and few-shot, without controls, and without what these models' vocabulary or
    context cannot carry."""
    tasks = [task for task in make_tasks(material, settings, _TASKS) if isinstance(task, Task)]
    return [task for task in tasks if set(task.variants.values()) != {"control"}]


def steer(
    model: Measurable,
    wanted: Sequence[Scaling],
    tasks: Iterable[Task],
    evaluation: EvaluationSet,
    settings: Steering,
    tell: Callable[[float], None] = lambda share: None,
) -> pl.DataFrame:
    """Every measure under every scaling: columns of SCHEMA. tell: gets the share that is done."""
    asked, rows = list(tasks), []
    prompts = evaluation.tokens[: settings.prompts, : settings.prompt_tokens]
    for done, each in enumerate(wanted, start=1):
        scaled = ScaledHeads(model, each.chosen, each.scale)
        about = {"heads": each.heads, "draw": each.draw, "scale": each.scale}
        written = continuations(scaled, prompts, settings.new_tokens, settings.seed)
        losses = token_losses(scaled, evaluation.first(settings.windows))
        for task in asked:
            rows += [{**about, **row} for row in _answers(scaled, task)]
        rows += [{**about, **row} for row in _repetition(prompts.numpy(), written.numpy())]
        rows += [{**about, **row} for row in _samples("loss", losses.mean(axis=1))]
        tell(done / len(wanted))
    if wanted:
        first = prompts.shape[1]
        real = evaluation.tokens[: settings.prompts, first : first + settings.new_tokens]
        about = {"heads": "text", "draw": 0, "scale": 1.0}
        rows += [{**about, **row} for row in _repetition(prompts.numpy(), real.numpy())]
    return pl.DataFrame(rows, schema=SCHEMA)


def _answers(model: Measurable, task: Task) -> Iterator[dict]:
    """Accuracy of every prompt in the variants that are no controls."""
    correct = evaluate(model, task, [INTACT]).answers[INTACT].correct
    for index, (variant, kind) in enumerate(task.variants.items()):
        if kind == "control":
            continue
        for number in np.unique(task.example[task.variant == index]):
            own = (task.variant == index) & (task.example == number)
            yield {
                **{"measure": task.behaviour, "variant": variant, "example": int(number)},
                **{"value": float(correct[own].mean()), "chance": task.chance},
            }


def _repetition(prompts: np.ndarray, written: np.ndarray) -> Iterator[dict]:
    shares = [repeated_share(*pair) for pair in zip(prompts, written, strict=True)]
    return _samples("repetition", np.array(shares))


def _samples(measure: str, values: np.ndarray) -> Iterator[dict]:
    for number, value in enumerate(values.tolist()):
        yield {"measure": measure, "variant": "", "example": number, "value": value, "chance": None}
