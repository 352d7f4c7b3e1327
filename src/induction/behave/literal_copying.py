"""Literal copying: a passage, something else, and the passage again.

`random`: random tokens, none twice in the passage. `text`: a stretch of natural text, another text
between its copies. `text, first copy`: the same questions the first time, to compare with. Lags
vary from prompt to prompt, so that position cannot give the answer. The right places are those
where the current token stood before with the same successor; the candidates are the answer and
other tokens of the passage.
"""

from collections.abc import Sequence

import numpy as np

from induction.behave.material import Material
from induction.behave.task import CANDIDATES, Prompt, Task, Untestable, make_task
from induction.config import Behaviours

NAME = "literal copying"
RANDOM, TEXT, FIRST = "random", "text", "text, first copy"

_TRIES = 20  # at a passage with enough different tokens


def make(
    material: Material, settings: Behaviours, random: np.random.Generator
) -> list[Task | Untestable]:
    """Random and natural passages."""
    longest = 2 * settings.segment + settings.gap[1]
    if longest > material.room:
        reason = f"needs {longest} tokens of context, there are {material.room}"
        return [Untestable(NAME, variant, reason) for variant in (RANDOM, TEXT)]
    return [_random(material, settings, random), _text(material, settings, random)]


def _random(
    material: Material, settings: Behaviours, random: np.random.Generator
) -> Task | Untestable:
    if len(material.drawable) < 2 * settings.segment:
        return Untestable(NAME, RANDOM, f"only {len(material.drawable)} tokens to draw from")
    prompts = []
    for _ in range(settings.examples):
        shuffled = random.permutation(material.drawable)
        passage, others = shuffled[: settings.segment], shuffled[settings.segment :]
        between = random.choice(others, random.integers(*settings.gap, endpoint=True))
        prompt = material.prompt()
        prompt.write(passage)
        prompt.write(between)
        _ask_all(prompt, RANDOM, passage, random)
        prompts.append(prompt)
    return make_task(NAME, {RANDOM: "literal"}, prompts)


def _text(
    material: Material, settings: Behaviours, random: np.random.Generator
) -> Task | Untestable:
    prompts = []
    for _ in range(settings.examples):
        passage = _passage(material, settings.segment, random)
        if passage is None:
            reason = f"too few texts of {settings.segment} tokens, {CANDIDATES} of them different"
            return Untestable(NAME, TEXT, reason)
        between = _stretch(material, int(random.integers(*settings.gap, endpoint=True)), random)
        prompt = material.prompt()
        _ask_all(prompt, FIRST, passage, random)
        prompt.write(between)
        _ask_all(prompt, TEXT, passage, random)
        prompts.append(prompt)
    return make_task(NAME, {TEXT: "literal", FIRST: "control"}, prompts)


def _passage(material: Material, length: int, random: np.random.Generator) -> np.ndarray | None:
    for _ in range(_TRIES):
        passage = _stretch(material, length, random)
        if len(np.unique(passage)) >= CANDIDATES:
            return passage
    return None


def _stretch(material: Material, length: int, random: np.random.Generator) -> np.ndarray:
    window = material.windows[random.integers(len(material.windows))]
    first = random.integers(len(window) - length, endpoint=True)
    return window[first : first + length]


def _ask_all(
    prompt: Prompt, variant: str, passage: np.ndarray, random: np.random.Generator
) -> None:
    """Write the passage; ask for each of its tokens but the first."""
    different = np.unique(passage)
    count = min(CANDIDATES, len(different)) - 1
    for place, token in enumerate(passage):
        if place:
            others = random.choice(different[different != token], count, replace=False)
            prompt.ask(variant, token, [token, *others], followers(prompt.tokens, token))
        prompt.write([token])


def followers(tokens: Sequence[int], target: int) -> list[int]:
    """Positions that hold the target and follow an earlier copy of the last token."""
    return [
        place
        for place in range(1, len(tokens))
        if tokens[place] == target and tokens[place - 1] == tokens[-1]
    ]
