"""Few-shot classification: lines of an animal or a fruit with a label, and one more to label.

- `natural`: the label names the class, so that what was learned in training helps too;
- `flipped`: animals are labelled as fruits and fruits as animals;
- `random`: two labels without meaning, which of them stands for which class drawn for each prompt.

Classes are drawn independently line by line, no word returns, so an answer that pays no heed to
the class is right once in two. Every line is asked for that has as many lines before it as one of
the numbers of shots; flipped and random labels after the most of them are judged, the others are
controls. The right places are the labels of earlier lines of the same class, wrong ones those of
the other class.
"""

import numpy as np

from induction.behave.lines import Lines, endless
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
    for kind, labels in KINDS.items():
        line = lines.longest([*ANIMALS, *FRUITS], labels)
        fitting = [shots for shots in settings.shots if (shots + 1) * line <= material.room]
        if not lines.told_apart(labels):
            reason = "the labels begin with the same token"
            found += [Untestable(NAME, variant(kind, s), reason) for s in settings.shots]
            continue
        if fitting:
            found.append(_task(kind, fitting, lines, material, settings.examples, random))
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
    shots: list[int],
    lines: Lines,
    material: Material,
    examples: int,
    random: np.random.Generator,
) -> Task:
    prompts = []
    for _ in range(examples):
        words = [endless(ANIMALS, random), endless(FRUITS, random)]
        labels = [lines.label(label) for label in KINDS[kind]]
        if kind == "random":
            labels = [labels[k] for k in random.permutation(2)]
        prompt = material.prompt()
        places: list[list[int]] = [[], []]
        for number in range(max(shots) + 1):
            side = int(random.integers(2))
            prompt.write(lines.words([next(words[side])]))
            if number in shots:
                candidates = [label[0] for label in labels]
                asked = variant(kind, number)
                prompt.ask(asked, labels[side][0], candidates, places[side], places[1 - side])
            places[side].append(prompt.write(labels[side]))
            prompt.write(lines.end)
        prompts.append(prompt)
    variants: dict[str, Kind] = {variant(kind, number): "control" for number in shots}
    if kind != "natural":
        variants[variant(kind, max(shots))] = "abstract"
    return make_task(NAME, variants, prompts)
