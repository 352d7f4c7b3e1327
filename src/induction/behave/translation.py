"""Translation: a line of phrases in one language, then a line with their translations in the same
order, as parallel text has them.

Asked is the first token of each translation but the first two, which show what the second line is;
the candidates are the first tokens of the translations in this prompt. The right place is the first
token of the phrase in the first line that is being translated, where an induction head of the paper
looks; wrong ones are the other phrases. Pairs whose sides begin with the same token are left out,
as copying would do, and so are pairs whose translations in one prompt begin alike. What all phrases
begin with, such as a space where that is a token of its own, does not count as their beginning.
"""

import numpy as np

from induction.behave.lines import shared_start
from induction.behave.material import Material
from induction.behave.task import Task, Untestable, make_task
from induction.config import Behaviours

NAME = "translation"
VARIANT = "phrases"

_SHOWN = 2


def make(
    material: Material, settings: Behaviours, random: np.random.Generator
) -> list[Task | Untestable]:
    """One task of settings.phrases pairs in each prompt."""
    count = settings.phrases
    if not material.pairs:
        return [Untestable(NAME, VARIANT, material.why_no_pairs)]
    phrases = [material.encode(f" {phrase}") for pair in material.pairs for phrase in pair]
    own = shared_start(phrases)
    shared, sides = phrases[0][:own], [tokens[own:] for tokens in phrases]
    encoded = [
        (source, target)
        for source, target in zip(sides[::2], sides[1::2], strict=True)
        if source and target and source[0] != target[0]
    ]
    firsts = {target[0] for _, target in encoded}
    if len(firsts) < count:
        reason = f"only {len(firsts)} translations begin with tokens of their own, not {count}"
        return [Untestable(NAME, VARIANT, reason)]
    comma, end = material.encode(","), material.encode("\n")
    prompts = []
    while len(prompts) < settings.examples:
        chosen = _draw(encoded, count, random)
        prompt = material.prompt()
        places = []
        for source, _ in chosen:
            prompt.write(shared)
            places.append(prompt.write(source))
            prompt.write(comma)
        prompt.write(end)
        candidates = [target[0] for _, target in chosen]
        for number, (_, target) in enumerate(chosen):
            prompt.write(shared)
            if number >= _SHOWN:
                others = [token for token in candidates if token != target[0]]
                wrong = [place for place in places if place != places[number]]
                prompt.ask(VARIANT, target[0], [target[0], *others], [places[number]], wrong)
            prompt.write(target)
            prompt.write(comma)
        if len(prompt.tokens) > material.n_ctx:
            reason = (
                f"{count} phrases with their translations do not fit into {material.n_ctx} tokens "
                "of context"
            )
            return [Untestable(NAME, VARIANT, reason)]
        prompts.append(prompt)
    return [make_task(NAME, {VARIANT: "abstract"}, prompts)]


def _draw(
    encoded: list[tuple[list[int], list[int]]], count: int, random: np.random.Generator
) -> list[tuple[list[int], list[int]]]:
    """Pairs whose translations begin differently."""
    chosen: dict[int, tuple[list[int], list[int]]] = {}
    for k in random.permutation(len(encoded)):
        chosen.setdefault(encoded[k][1][0], encoded[k])
        if len(chosen) == count:
            break
    return list(chosen.values())
