"""What is found in one snapshot as rows of the tables in data/behaviours/MODEL/."""

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from induction.behave.conditions import Condition
from induction.behave.evaluator import Outcome
from induction.behave.task import Task, Untestable
from induction.model.weights import Snapshot
from induction.rules.head_kinds import Head, head_names

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

LOOKS = {
    **_TASK,
    **{"heads": pl.String, "draw": pl.Int64, "example": pl.Int64},
    **dict.fromkeys(("right", "wrong"), pl.Float64),
}
"""Of the last snapshot, a row for each variant with right and wrong places, set of heads and
prompt: attention to one right place and to one wrong one, mean over the questions that have both,
summed over the heads. heads: induction, random (draw counts them), or an induction head: "1.0"."""

SHOWN = {
    **_TASK,
    **{"head": pl.String, "position": pl.Int64, "text": pl.String, "attention": pl.Float64},
    **{"place": pl.String, "answer": pl.String},
}
"""Of the last snapshot, for each such variant: its first prompt up to its last question, token by
token, with the attention of the induction head that looks most to the right places over all
prompts. place: right, wrong, or empty."""

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
    sets: Sequence[Condition] = (),
    texts: Sequence[str] = (),
) -> Rows:
    """The tables of one snapshot by name; outcomes: of each Task, in order.

    `examples`, `looks`, `shown` and `tasks` have no rows but those of the last snapshot. sets: the
    conditions that the tasks were put under. texts: each token as text.
    """
    looks, shown = [], []
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
            if last and sets and right.uniform[index] and wrong.uniform[index]:
                looks += _looks(of_task, task, outcome, chosen, sets)
                shown += _shown(of_task, task, outcome, index, sets, texts)
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
        "looks": pl.DataFrame(looks, schema=LOOKS),
        "shown": pl.DataFrame(shown, schema=SHOWN),
        "tasks": pl.DataFrame(_task_rows(tasks) if last else [], schema=TASKS),
    }


def _groups(sets: Iterable[Condition]) -> Iterable[tuple[str, int, frozenset[Head]]]:
    """The sets of heads, and each induction head alone."""
    for each in sets:
        if each.kind == "ablated":
            yield each.heads, each.draw, each.chosen
            if each.heads == "induction":
                yield from ((head_names([head]), 0, frozenset({head})) for head in each.chosen)


def _looks(
    of_task: dict, task: Task, outcome: Outcome, chosen: np.ndarray, sets: Sequence[Condition]
) -> Iterable[dict]:
    """The rows of LOOKS of one variant."""
    pair = np.stack([outcome.right.to_one, outcome.wrong.to_one])  # [2, N, layers, heads]
    both = chosen & ~np.isnan(pair[:, :, 0, 0]).any(axis=0)
    for name, draw, heads in _groups(sets):
        layer, head = zip(*heads, strict=True)
        of_set = pair[:, :, list(layer), list(head)].sum(axis=-1)
        for number in np.unique(task.example[both]):
            right, wrong = of_set[:, both & (task.example == number)].mean(axis=1)
            about = {"heads": name, "draw": draw, "example": int(number)}
            yield {**of_task, **about, "right": float(right), "wrong": float(wrong)}


def _shown(
    of_task: dict,
    task: Task,
    outcome: Outcome,
    index: int,
    sets: Sequence[Condition],
    texts: Sequence[str],
) -> Iterable[dict]:
    """The rows of SHOWN of one variant."""
    [own] = [each.chosen for each in sets if (each.kind, each.heads) == ("ablated", "induction")]
    best = max(sorted(own), key=lambda head: outcome.right.found[index][head])
    question, attention = outcome.first[index]
    right, wrong = (set(pairs[pairs[:, 0] == question, 1]) for pairs in (task.right, task.wrong))
    for position in range(int(task.query[question]) + 1):
        place = "right" if position in right else "wrong" if position in wrong else ""
        yield {
            **of_task,
            "head": head_names([best]),
            "position": position,
            "text": texts[int(task.tokens[0, position])],
            "attention": float(attention[best][position]),
            "place": place,
            "answer": texts[int(task.target[question])],
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
