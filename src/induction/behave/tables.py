"""What is found in one snapshot as rows of the tables in data/behaviours/MODEL/."""

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from induction.behave.evaluator import Outcome
from induction.behave.task import Task, Untestable
from induction.model.weights import Snapshot

_MOMENT = dict.fromkeys(("step", "tokens"), pl.Int64)
_TASK = dict.fromkeys(("behaviour", "variant"), pl.String)
_CONDITION = {"condition": pl.String, "heads": pl.String, "draw": pl.Int64}
_ANSWERS = dict.fromkeys(("loss", "accuracy"), pl.Float64)

BEHAVIOURS = {**_MOMENT, **_TASK, **_CONDITION, **_ANSWERS, "chance": pl.Float64, "n": pl.Int64}
"""A row for each variant and condition: means over all questions."""

ATTENTION = {
    **_MOMENT,
    **_TASK,
    **dict.fromkeys(("layer", "head"), pl.Int64),
    **dict.fromkeys(("attention", "uniform", "wrong", "uniform_wrong"), pl.Float64),
}
"""A row for each variant and head, of the intact model: attention to the right places, what equal
attention to all places would give, and both for the wrong places."""

EXAMPLES = {**_TASK, **_CONDITION, "example": pl.Int64, **_ANSWERS}
"""Of the last snapshot, a row for each variant, condition and prompt: means over its questions."""

TASKS = {
    **_TASK,
    "kind": pl.String,
    **dict.fromkeys(("prompts", "questions", "candidates"), pl.Int64),
    "why_not": pl.String,
}
"""A row for each variant; where it could not be asked, why_not says why and kind is null."""

Rows = dict[str, pl.DataFrame]


def rows(
    snapshot: Snapshot,
    tasks: Sequence[Task | Untestable],
    outcomes: Sequence[Outcome],
    last: bool,
) -> Rows:
    """The tables of one snapshot by name; outcomes: of each Task, in order.

    `examples` and `tasks` have no rows but those of the last snapshot.
    """
    asked = [task for task in tasks if isinstance(task, Task)]
    moment = {"step": snapshot.step, "tokens": snapshot.tokens}
    behaviours, attention, examples = [], [], []
    for task, outcome in zip(asked, outcomes, strict=True):
        for index, variant in enumerate(task.variants):
            of_task = {"behaviour": task.behaviour, "variant": variant}
            chosen = task.variant == index
            for condition, answers in outcome.answers.items():
                about = {
                    **of_task,
                    "condition": condition.kind,
                    "heads": condition.heads,
                    "draw": condition.draw,
                }
                loss, correct = answers.loss[chosen], answers.correct[chosen]
                means = {"loss": float(loss.mean(dtype=np.float64)), "accuracy": correct.mean()}
                count = {"chance": task.chance, "n": int(chosen.sum())}
                behaviours.append({**moment, **about, **means, **count})
                if last:
                    examples += _by_example(about, task.example[chosen], loss, correct)
            right, wrong = outcome.right, outcome.wrong
            for (layer, head), value in np.ndenumerate(right.found[index]):
                attention.append(
                    {
                        **moment,
                        **of_task,
                        **{"layer": layer, "head": head, "attention": value},
                        "uniform": right.uniform[index],
                        "wrong": wrong.found[index, layer, head],
                        "uniform_wrong": wrong.uniform[index],
                    }
                )
    return {
        "behaviours": pl.DataFrame(behaviours, schema=BEHAVIOURS),
        "attention": pl.DataFrame(attention, schema=ATTENTION),
        "examples": pl.DataFrame(examples, schema=EXAMPLES),
        "tasks": pl.DataFrame(_task_rows(tasks) if last else [], schema=TASKS),
    }


def _by_example(
    about: dict, example: np.ndarray, loss: np.ndarray, correct: np.ndarray
) -> Iterable[dict]:
    for number in np.unique(example):
        own = example == number
        means = {"loss": float(loss[own].mean()), "accuracy": float(correct[own].mean())}
        yield {**about, "example": int(number), **means}


def _task_rows(tasks: Sequence[Task | Untestable]) -> list[dict]:
    found = []
    for task in tasks:
        if isinstance(task, Untestable):
            about = {"behaviour": task.behaviour, "variant": task.variant, "kind": None}
            none = {"prompts": 0, "questions": 0, "candidates": 0}
            found.append({**about, **none, "why_not": task.reason})
            continue
        for index, (variant, kind) in enumerate(task.variants.items()):
            found.append(
                {
                    "behaviour": task.behaviour,
                    "variant": variant,
                    "kind": kind,
                    "prompts": len(np.unique(task.example[task.variant == index])),
                    "questions": int((task.variant == index).sum()),
                    "candidates": task.candidates.shape[1],
                    "why_not": None,
                }
            )
    return found
