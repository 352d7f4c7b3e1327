"""A behaviour as data: prompts, the questions in them, and where a head should look to answer.

A question asks for the token that comes next. Its loss is over the whole vocabulary; its accuracy
is among a few candidates, the answer and other tokens that would fit, so that chance is known.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

Kind = Literal["literal", "loose", "abstract", "control"]
"""What a variant asks beyond copying: nothing; copying after a prefix that is only like the earlier
one, or longer; what no repeated prefix tells. Controls are shown beside them and not judged."""

CANDIDATES = 10
"""Where nothing else sets their number: an answer and nine others."""


@dataclass(frozen=True)
class Task:
    """Prompts of one kind and the questions in them; N questions, C candidates.

    behaviour: name in the registry. variants: questions that are told apart, with their kinds.
    tokens: [B, T], shorter prompts padded on the right.
    variant, example, query, target: [N], index into variants, row, position that predicts, answer.
    candidates: [N, C], tokens, the answer one of them; as likely as each other a priori.
    right: [R, 2], pairs of a question and a position where the answer, or what stands for it, is
    found earlier. A question may have several, or none.
    wrong: [W, 2], the same for places where another candidate, or what stands for it, is found in
    the same way; none where candidates are many tokens of a text.
    """

    behaviour: str
    variants: Mapping[str, Kind]
    tokens: Tensor
    variant: np.ndarray
    example: np.ndarray
    query: np.ndarray
    target: np.ndarray
    candidates: np.ndarray
    right: np.ndarray
    wrong: np.ndarray

    @property
    def chance(self) -> float:
        return 1.0 / self.candidates.shape[1]


@dataclass(frozen=True)
class Untestable:
    """A variant of a behaviour that these models' vocabulary or context cannot carry, and why."""

    behaviour: str
    variant: str
    reason: str


class Question(NamedTuple):
    variant: str
    query: int
    target: int
    candidates: tuple[int, ...]
    right: tuple[int, ...]
    wrong: tuple[int, ...]


@dataclass
class Prompt:
    """One prompt, written from left to right."""

    tokens: list[int]
    questions: list["Question"] = field(default_factory=list)

    def write(self, tokens: Sequence[int] | np.ndarray) -> int:
        """Add tokens; the position of the first of them."""
        self.tokens.extend(int(token) for token in tokens)
        return len(self.tokens) - len(tokens)

    def ask(
        self,
        variant: str,
        target: int,
        candidates: Sequence[int],
        right: Sequence[int],
        wrong: Sequence[int] = (),
    ) -> None:
        """Ask for the token after those written so far; `right`, `wrong` are earlier positions."""
        options = tuple(int(token) for token in candidates)
        places = tuple(right), tuple(wrong)
        self.questions.append(
            Question(variant, len(self.tokens) - 1, int(target), options, *places)
        )


def make_task(behaviour: str, variants: Mapping[str, Kind], prompts: Sequence[Prompt]) -> Task:
    """The prompts as arrays."""
    longest = max(len(prompt.tokens) for prompt in prompts)
    # Any token will do: attention is causal, so what stands behind a question cannot matter.
    rows = [prompt.tokens + [0] * (longest - len(prompt.tokens)) for prompt in prompts]
    asked = [(row, q) for row, prompt in enumerate(prompts) for q in prompt.questions]
    right = [(number, key) for number, (_, q) in enumerate(asked) for key in q.right]
    wrong = [(number, key) for number, (_, q) in enumerate(asked) for key in q.wrong]
    place = {name: index for index, name in enumerate(variants)}
    return Task(
        behaviour=behaviour,
        variants=variants,
        tokens=torch.tensor(rows, dtype=torch.int64),
        variant=np.array([place[q.variant] for _, q in asked], dtype=np.int64),
        example=np.array([row for row, _ in asked], dtype=np.int64),
        query=np.array([q.query for _, q in asked], dtype=np.int64),
        target=np.array([q.target for _, q in asked], dtype=np.int64),
        candidates=np.array([q.candidates for _, q in asked], dtype=np.int64),
        right=np.array(right, dtype=np.int64).reshape(-1, 2),
        wrong=np.array(wrong, dtype=np.int64).reshape(-1, 2),
    )
