"""Prompts with right and wrong places, as each model's best induction head looks at them at the end
of training."""

from dataclasses import dataclass

import polars as pl

from induction.report.results import Results
from induction.report.sentences import sentence
from induction.study.behaviours import TaskResult
from induction.study.looks import Looks


@dataclass(frozen=True)
class Prompt:
    """The first prompt of a task up to its last question.

    result, looks: what the model does in this task, and where its induction heads attend over all
    prompts. head: the induction head that looks most to the right places. tokens: a row for each
    token: position, text, attention (of this head, from the last token), place ("right", "wrong",
    or empty). answer: the token that comes next.
    """

    model: str
    result: TaskResult
    looks: Looks
    head: str
    tokens: pl.DataFrame
    answer: str

    @property
    def task(self) -> str:
        return f"{self.result.behaviour}: {self.result.variant}"

    def to(self, place: str) -> float:
        """Attention to all right, or all wrong, places."""
        return float(self.tokens.filter(pl.col("place") == place)["attention"].sum())

    @property
    def to_first(self) -> float:
        """Attention to the first token, where heads with nothing to find mostly look."""
        return float(self.tokens["attention"][0])


def prompts(results: Results) -> list[Prompt]:
    """Those of every model with induction heads and every abstract task with such places."""
    found = []
    for name, own in results.behaviours.items():
        for result in results.models[name].tasks:
            rows = own.shown.filter(
                (pl.col("behaviour") == result.behaviour) & (pl.col("variant") == result.variant)
            )
            if result.kind == "abstract" and result.looks and len(rows):
                tokens = rows.select("position", "text", "attention", "place").sort("position")
                # The start token is no text; most tokenizers decode it to nothing.
                named = pl.when(pl.col("text") == "").then(pl.lit("[start]")).otherwise("text")
                tokens = tokens.with_columns(named.alias("text"))
                (head,), (answer,) = rows["head"].unique(), rows["answer"].unique()
                found.append(Prompt(name, result, result.looks, head, tokens, answer))
    return found


def chosen_prompt(results: Results) -> Prompt | None:
    """The one that stands for the others: of the tasks that their model does, or of all where none
    does, that in which its induction heads tell right from wrong places most surely."""
    every, thresholds = prompts(results), results.config.verdicts
    done = [prompt for prompt in every if prompt.result.does(thresholds)]
    return max(done or every, key=lambda prompt: prompt.looks.low, default=None)


def prompt_sentence(results: Results) -> str:
    """What the figure of the chosen prompt shows, in numbers."""
    prompt = chosen_prompt(results)
    if prompt is None:
        return sentence("prompts", "none_chosen")
    places = prompt.tokens["place"].to_list()
    right, wrong = places.count("right"), places.count("wrong")
    return sentence("prompts", "chosen", prompt=prompt, right=right, wrong=wrong)
