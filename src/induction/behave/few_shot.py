"""Few-shot classification: lines of an animal or a fruit with a label, and one more to label.

- `natural`: the label names the class, so that what was learned in training helps too;
- `flipped`: animals are labelled as fruits and fruits as animals;
- `random`: two labels without meaning, which of them stands for which class drawn for each prompt.

Classes are drawn independently line by line, no word returns, so an answer that pays no heed to
the class is right once in two. Every line is asked for that has as many lines before it as one of
the numbers of shots; flipped and random labels after the most of them are judged (after none,
nothing tells them), the others are controls. The right places are the labels of earlier lines of
the same class, wrong ones those of the other class.
"""

import numpy as np

from induction.behave.lines import Label, Lines, endless
from induction.behave.material import Material
from induction.behave.task import Kind, Task, Untestable, make_task
from induction.behave.words import ANIMALS, FRUITS, LABELS
from induction.config import Behaviours

NAME = "few-shot"
KINDS = {"natural": ("animal", "fruit"), "flipped": ("fruit", "animal"), "random": LABELS[:2]}


def variant(kind: str, shots: int) -> str:
    return f"{kind}, {shots} shot{'' if shots == 1 else 's'}"


def make(
    material: Material, settings: Behaviours, random: np.random.Generator
) -> list[Task | Untestable]:
    """A task for each kind of labels, its questions told apart by shots."""
    found: list[Task | Untestable] = []
    lines = Lines(material)
    for kind, names in KINDS.items():
        labels = lines.labels(names)
        if labels is None:
            reason = "no single token tells the labels apart"
            found += [Untestable(NAME, variant(kind, s), reason) for s in settings.shots]
            continue
        line = lines.longest([*ANIMALS, *FRUITS], labels)
        fitting = [shots for shots in settings.shots if (shots + 1) * line <= material.room]
        if fitting:
            found.append(_task(kind, labels, fitting, lines, material, settings.examples, random))
        for shots in settings.shots:
            if shots not in fitting:
                reason = (
                    f"{shots + 1} lines of up to {line} tokens do not fit into {material.room} of "
                    "context"
                )
                found.append(Untestable(NAME, variant(kind, shots), reason))
    return found


def _task(
    kind: str,
    known: list[Label],
    shots: list[int],
    lines: Lines,
    material: Material,
    examples: int,
    random: np.random.Generator,
) -> Task:
    prompts = []
    for _ in range(examples):
        words = [endless(ANIMALS, random), endless(FRUITS, random)]
        labels = [known[k] for k in (random.permutation(2) if kind == "random" else (0, 1))]
        candidates = [label.own[0] for label in labels]
        prompt = material.prompt()
        places: list[list[int]] = [[], []]
        for number in range(max(shots) + 1):
            side = int(random.integers(2))
            prompt.write(lines.words([next(words[side])]))
            prompt.write(labels[side].shared)
            if number in shots:
                asked = variant(kind, number)
                prompt.ask(asked, candidates[side], candidates, places[side], places[1 - side])
            places[side].append(prompt.write(labels[side].own))
            prompt.write(lines.end)
        prompts.append(prompt)
    variants: dict[str, Kind] = {variant(kind, number): "control" for number in shots}
    if kind != "natural" and max(shots):
        variants[variant(kind, max(shots))] = "abstract"
    return make_task(NAME, variants, prompts)
