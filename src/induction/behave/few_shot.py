"""Few-shot classification: lines of an animal or a fruit with a label, and one more to label.

- `natural`: the label names the class, so that what was learned in training helps too;
- `flipped`: animals are labelled as fruits and fruits as animals;
- `random`: two labels without meaning, which of them stands for which class drawn for each prompt.

Classes are drawn independently line by line, no word returns, so an answer that pays no heed to
the class is right once in two. Every line is asked for that has as many lines before it as one of
the numbers of shots; those after the most of them are judged (after none, nothing tells flipped and
random labels), the others are controls. The right places are the labels of earlier lines of the
same class, wrong ones those of the other class.

`…, shuffled` are the same prompts with the labels of the earlier lines dealt out anew among them,
asked after the most shots: the labels that there are tell nothing of the class. The right places
are the earlier labels that read as the answer: a head that looks to these by what they mean, or to
the labels of similar words, does not look to them more than in proportion, or does so here too.
"""

from collections.abc import Mapping

import numpy as np

from induction.behave.lines import Label, Lines, endless
from induction.behave.material import Material
from induction.behave.task import Kind, Prompt, Task, Untestable, make_task
from induction.behave.words import ANIMALS, FRUITS, LABELS
from induction.config import Behaviours

NAME = "few-shot"
KINDS = {"natural": ("animal", "fruit"), "flipped": ("fruit", "animal"), "random": LABELS[:2]}


def shuffled(variant: str) -> str:
    """The name of the control of a variant, with its labels dealt out anew."""
    return f"{variant}, shuffled"


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
            found += _tasks(kind, labels, fitting, lines, material, settings.examples, random)
        for shots in settings.shots:
            if shots not in fitting:
                reason = (
                    f"{shots + 1} lines of up to {line} tokens do not fit into {material.room} of "
                    "context"
                )
                found.append(Untestable(NAME, variant(kind, shots), reason))
    return found


def _tasks(
    kind: str,
    known: list[Label],
    shots: list[int],
    lines: Lines,
    material: Material,
    examples: int,
    random: np.random.Generator,
) -> list[Task]:
    """The task and, where there are shots to shuffle, its control."""
    most = max(shots)
    prompts, controls = [], []
    for _ in range(examples):
        words = [endless(ANIMALS, random), endless(FRUITS, random)]
        labels = [known[k] for k in (random.permutation(2) if kind == "random" else (0, 1))]
        sides = random.integers(2, size=most + 1)
        drawn = [next(words[side]) for side in sides]
        dealt = np.append(random.permutation(sides[:-1]), sides[-1])
        asked = {number: variant(kind, number) for number in shots}
        prompts.append(_prompt(drawn, sides, labels, asked, lines, material))
        asked = {most: shuffled(variant(kind, most))}
        controls.append(_prompt(drawn, dealt, labels, asked, lines, material))
    variants: dict[str, Kind] = {variant(kind, number): "control" for number in shots}
    if not most:
        return [make_task(NAME, variants, prompts)]
    variants[variant(kind, most)] = "abstract"
    control: dict[str, Kind] = {shuffled(variant(kind, most)): "control"}
    return [make_task(NAME, variants, prompts), make_task(NAME, control, controls)]


def _prompt(
    words: list[str],
    sides: np.ndarray,
    labels: list[Label],
    asked: Mapping[int, str],
    lines: Lines,
    material: Material,
) -> Prompt:
    """Lines of words, each with the label of a side; asked: number of a line → variant."""
    prompt = material.prompt()
    candidates = [label.own[0] for label in labels]
    places: list[list[int]] = [[], []]
    for number, (word, side) in enumerate(zip(words, sides, strict=True)):
        prompt.write(lines.words([word]))
        prompt.write(labels[side].shared)
        if number in asked:
            prompt.ask(asked[number], candidates[side], candidates, places[side], places[1 - side])
        places[side].append(prompt.write(labels[side].own))
        prompt.write(lines.end)
    return prompt
