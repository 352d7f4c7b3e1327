"""Abstract patterns as in the paper (Argument 4): lines of a month or colour and an animal or
fruit, with a label that stands for the pair of categories.

Which of four labels stands for which pair is drawn anew for each prompt, so the prompt alone can
tell. The first four lines show each pair once, the rest are drawn independently and asked for: an
answer that pays no heed to the categories is right once in four. Words return only when a category
has no others left. The right places are the labels of all earlier lines of the same pair, wrong
ones those of the other lines; the paper reads the attention from the colon to them.

`…, shuffled` are the same prompts with the labels dealt out anew among the lines. Asked is what the
pair would be called in the prompt itself; the right places are the earlier labels that read so.
"""

import numpy as np

from induction.behave.few_shot import shuffled
from induction.behave.lines import Label, Lines, endless
from induction.behave.material import Material
from induction.behave.task import Prompt, Task, Untestable, make_task
from induction.behave.words import ANIMALS, COLOURS, FRUITS, LABELS, MONTHS
from induction.config import Behaviours

NAME = "abstract patterns"
VARIANT = "categories"

_FIRST, _SECOND = (MONTHS, COLOURS), (ANIMALS, FRUITS)


def make(
    material: Material, settings: Behaviours, random: np.random.Generator
) -> list[Task | Untestable]:
    """One task of settings.lines lines."""
    lines = Lines(material)
    known = lines.labels(LABELS)
    if known is None:
        return [Untestable(NAME, VARIANT, "no single token tells the labels apart")]
    prompts, controls = [], []
    for _ in range(settings.examples):
        words = [[endless(list_, random) for list_ in lists] for lists in (_FIRST, _SECOND)]
        labels = [known[k] for k in random.permutation(4)]
        kinds = np.append(random.permutation(4), random.integers(4, size=settings.lines - 4))
        drawn = [[next(words[0][kind // 2]), next(words[1][kind % 2])] for kind in kinds]
        dealt = random.permutation(kinds)
        prompts.append(_prompt(VARIANT, drawn, kinds, kinds, labels, lines, material))
        control = shuffled(VARIANT)
        controls.append(_prompt(control, drawn, kinds, dealt, labels, lines, material))
        if len(prompts[-1].tokens) > material.n_ctx:
            reason = f"{settings.lines} lines do not fit into {material.n_ctx} tokens of context"
            return [Untestable(NAME, VARIANT, reason)]
    return [
        make_task(NAME, {VARIANT: "abstract"}, prompts),
        make_task(NAME, {shuffled(VARIANT): "control"}, controls),
    ]


def _prompt(
    variant: str,
    words: list[list[str]],
    kinds: np.ndarray,
    shown: np.ndarray,
    labels: list[Label],
    lines: Lines,
    material: Material,
) -> Prompt:
    """Lines of words, each with the label of the kind in `shown`; asked is that of its own kind."""
    prompt = material.prompt()
    candidates = [label.own[0] for label in labels]
    places: dict[int, list[int]] = {kind: [] for kind in range(4)}
    for number, (pair, own, seen) in enumerate(zip(words, kinds, shown, strict=True)):
        prompt.write(lines.words(pair))
        prompt.write(labels[seen].shared)
        if number >= 4:
            wrong = [key for kind, keys in places.items() if kind != own for key in keys]
            prompt.ask(variant, candidates[own], candidates, places[int(own)], wrong)
        places[int(seen)].append(prompt.write(labels[seen].own))
        prompt.write(lines.end)
    return prompt
