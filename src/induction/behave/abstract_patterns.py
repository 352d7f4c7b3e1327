"""Abstract patterns as in the paper (Argument 4): lines of a month or colour and an animal or
fruit, with a label that stands for the pair of categories.

Which of four labels stands for which pair is drawn anew for each prompt, so the prompt alone can
tell. The first four lines show each pair once, the rest are drawn independently and asked for: an
answer that pays no heed to the categories is right once in four. Words return only when a category
has no others left. The right places are the labels of all earlier lines of the same pair, wrong
ones those of the other lines; the paper reads the attention from the colon to them.
"""

import numpy as np

from induction.behave.lines import Lines, endless
from induction.behave.material import Material
from induction.behave.task import Task, Untestable, make_task
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
    prompts = []
    for _ in range(settings.examples):
        words = [[endless(list_, random) for list_ in lists] for lists in (_FIRST, _SECOND)]
        labels = [known[k] for k in random.permutation(4)]
        kinds = [*random.permutation(4), *random.integers(4, size=settings.lines - 4)]
        candidates = [label.own[0] for label in labels]
        prompt = material.prompt()
        places: dict[int, list[int]] = {kind: [] for kind in range(4)}
        for number, kind in enumerate(int(k) for k in kinds):
            prompt.write(lines.words([next(words[0][kind // 2]), next(words[1][kind % 2])]))
            prompt.write(labels[kind].shared)
            if number >= 4:
                wrong = [key for other, keys in places.items() if other != kind for key in keys]
                prompt.ask(VARIANT, candidates[kind], candidates, places[kind], wrong)
            places[kind].append(prompt.write(labels[kind].own))
            prompt.write(lines.end)
        if len(prompt.tokens) > material.n_ctx:
            reason = f"{settings.lines} lines do not fit into {material.n_ctx} tokens of context"
            return [Untestable(NAME, VARIANT, reason)]
        prompts.append(prompt)
    return [make_task(NAME, {VARIANT: "abstract"}, prompts)]
