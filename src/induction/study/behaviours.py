"""What a model does in context at the end of training, and what of it goes with its induction heads
(paper, Argument 4)."""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import polars as pl

from induction.config import Verdicts as Thresholds
from induction.files import verify_folder
from induction.files.tables import read_table
from induction.paths import StudyPaths
from induction.rules.head_kinds import Head
from induction.rules.intervals import mean_interval
from induction.study.looks import Looks, describe_looks

SHUFFLED = "shuffled"  # ends the name of a control with the labels dealt out anew

_KEY = ("behaviour", "variant")
_COLUMNS = {
    "behaviours": {*_KEY, "step", "tokens", "condition", "heads", "draw", "loss", "accuracy"},
    "attention": {
        *(*_KEY, "step", "tokens", "layer", "head"),
        *("attention", "uniform", "wrong", "uniform_wrong"),
    },
    "examples": {*_KEY, "condition", "heads", "draw", "example", "loss", "accuracy"},
    "looks": {*_KEY, "heads", "draw", "example", "right", "wrong"},
    "shown": {*_KEY, "head", "position", "text", "attention", "place", "answer"},
    "tasks": {*_KEY, "kind", "prompts", "questions", "candidates", "why_not"},
}


@dataclass(frozen=True)
class Behaviours:
    """The tables of one model in data/behaviours; see induction.behave.tables."""

    behaviours: pl.DataFrame
    attention: pl.DataFrame
    examples: pl.DataFrame
    looks: pl.DataFrame
    shown: pl.DataFrame
    tasks: pl.DataFrame


@dataclass(frozen=True)
class Cost:
    """By how much the loss of the answers rises, in nats, with its 95 % interval over prompts."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class TaskResult:
    """One variant of a behaviour, at the last snapshot.

    accuracy: with its 95 % interval over prompts. ablated, knocked_out: cost of doing without the
    induction heads, and without their pattern; ablated_more, knocked_out_more: how much more that
    is than the mean cost of as many other heads; None without induction heads, or without others.
    head, attention, uniform: the induction head that looks most to the right places (among all
    heads where there is none), how much it does so, and what equal attention to all would give;
    wrong, uniform_wrong: the same for the places of wrong answers. labels_help: by how much the
    loss of the answers is lower than with the labels of the prompt dealt out anew; None where there
    is no such control. looks: where the induction heads attend; None without wrong places.
    """

    behaviour: str
    variant: str
    kind: str
    chance: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float
    loss: float
    ablated: Cost | None
    knocked_out: Cost | None
    ablated_more: Cost | None
    knocked_out_more: Cost | None
    head: Head
    attention: float
    uniform: float
    wrong: float
    uniform_wrong: float
    labels_help: Cost | None
    looks: Looks | None

    def above_chance(self, accuracy: float) -> float:
        """An accuracy on a scale from chance, 0, to always right, 1."""
        return (accuracy - self.chance) / (1 - self.chance)

    def does(self, thresholds: Thresholds) -> bool:
        """Whether the model answers better than chance, by a margin, and by the prompt's labels:
        what it learned in training may give the answer without any."""
        by_labels = self.labels_help is None or self.labels_help.low > 0
        return by_labels and self.accuracy_low >= self.chance + thresholds.above_chance

    def prior_wins(self, thresholds: Thresholds) -> bool:
        """Whether its answers are worse than chance, and yet better for the prompt's labels."""
        by_labels = self.labels_help is not None and self.labels_help.low > 0
        return by_labels and self.accuracy_high <= self.chance - thresholds.above_chance

    @property
    def right_share(self) -> float | None:
        """Of the head's attention to places of answers, the share of the right ones; None where
        none are known to be wrong."""
        return self.attention / (self.attention + self.wrong) if self.uniform_wrong else None

    @property
    def right_places(self) -> float | None:
        """The same for equal attention."""
        total = self.uniform + self.uniform_wrong
        return self.uniform / total if self.uniform_wrong else None

    @property
    def needs_induction(self) -> bool:
        """Whether doing without the induction heads, and without their pattern alone, costs more
        than doing without others: both intervals above 0."""
        costs = (self.ablated_more, self.knocked_out_more)
        return all(cost is not None and cost.low > 0 for cost in costs)

    @property
    def may_need_induction(self) -> bool:
        """Whether the intervals allow that it does."""
        costs = (self.ablated_more, self.knocked_out_more)
        return all(cost is not None and cost.high > 0 for cost in costs)


def load_behaviours(paths: StudyPaths, model: str) -> Behaviours:
    """Read and verify the tables of a model.

    Raises StudyError naming what is missing, damaged, or lacks a column.
    """
    folder = paths.behaviours(model)
    verify_folder(folder)
    tables = {
        name: read_table(folder / f"{name}.parquet", columns) for name, columns in _COLUMNS.items()
    }
    return Behaviours(**tables)


def describe_behaviours(found: Behaviours, induction: Collection[Head]) -> tuple[TaskResult, ...]:
    """Every variant that was asked, in order of the tasks. induction: the model's heads."""
    asked = found.tasks.filter(pl.col("why_not").is_null())
    return tuple(_describe(found, row, induction) for row in asked.iter_rows(named=True))


def _describe(found: Behaviours, task: dict, induction: Collection[Head]) -> TaskResult:
    of_task = _of(task, task["variant"])
    examples = found.examples.filter(of_task).sort("example")
    last = found.attention.filter(of_task & (pl.col("step") == pl.col("step").max()))
    intact = examples.filter(pl.col("condition") == "intact")
    accuracy = intact["accuracy"].to_numpy()
    ends = mean_interval(accuracy) or (0.0, 1.0)
    costs = {
        (condition, heads): _cost_by_example(examples, intact, condition, heads)
        for condition in ("ablated", "knocked out")
        for heads in ("induction", "random")
    }
    best = _best_head(last, induction)
    return TaskResult(
        behaviour=task["behaviour"],
        variant=task["variant"],
        kind=task["kind"],
        chance=1.0 / task["candidates"],
        accuracy=float(accuracy.mean()),
        accuracy_low=ends[0],
        accuracy_high=ends[1],
        loss=float(intact["loss"].mean()),  # pyright: ignore[reportArgumentType]
        ablated=_cost(costs["ablated", "induction"]),
        knocked_out=_cost(costs["knocked out", "induction"]),
        ablated_more=_more(costs["ablated", "induction"], costs["ablated", "random"]),
        knocked_out_more=_more(costs["knocked out", "induction"], costs["knocked out", "random"]),
        head=(best["layer"], best["head"]),
        attention=best["attention"],
        uniform=best["uniform"],
        wrong=best["wrong"],
        uniform_wrong=best["uniform_wrong"],
        labels_help=_labels_help(found, task, intact),
        looks=describe_looks(
            found.looks.filter(of_task), found.looks.filter(_of(task, _shuffled(task)))
        ),
    )


def _shuffled(task: dict) -> str:
    return f"{task['variant']}, {SHUFFLED}"


def _of(task: dict, variant: str) -> pl.Expr:
    return (pl.col("behaviour") == task["behaviour"]) & (pl.col("variant") == variant)


def _labels_help(found: Behaviours, task: dict, intact: pl.DataFrame) -> Cost | None:
    """Loss with shuffled labels − loss, over the same prompts."""
    control = found.examples.filter(
        _of(task, _shuffled(task)) & (pl.col("condition") == "intact")
    ).sort("example")
    if len(control) != len(intact):
        return None
    return _cost(control["loss"].to_numpy() - intact["loss"].to_numpy())


def _cost_by_example(
    examples: pl.DataFrame, intact: pl.DataFrame, condition: str, heads: str
) -> np.ndarray | None:
    """Rise of each prompt's loss over the intact model's, mean over draws: [prompts]."""
    chosen = examples.filter((pl.col("condition") == condition) & (pl.col("heads") == heads))
    if chosen.is_empty():
        return None
    loss = chosen.group_by("example", maintain_order=True).agg(pl.col("loss").mean())
    return loss["loss"].to_numpy() - intact["loss"].to_numpy()


def _cost(by_example: np.ndarray | None) -> Cost | None:
    ends = None if by_example is None else mean_interval(by_example)
    return None if by_example is None or ends is None else Cost(float(by_example.mean()), *ends)


def _more(own: np.ndarray | None, others: np.ndarray | None) -> Cost | None:
    return None if own is None or others is None else _cost(own - others)


def _best_head(last: pl.DataFrame, induction: Collection[Head]) -> dict:
    rows = last.sort("attention", descending=True, maintain_order=True).rows(named=True)
    own = [row for row in rows if (row["layer"], row["head"]) in induction]
    return (own or rows)[0]
