"""[A][B][C] matching: a prefix of two tokens decides where one does not.

A prompt lists triples of random tokens that come in twos, [A][B][C] and [D][B][E], all in random
order; then one of each two begins again, [A][B], and C is asked for. B alone has been followed by
C and by E, each once; chance is one in two. The right place is C behind [A][B], the wrong one E.
"""

import numpy as np

from induction.behave.material import Material
from induction.behave.task import Task, Untestable, make_task
from induction.config import Behaviours

NAME = "[A][B][C] matching"
VARIANT = "random"


def make(
    material: Material, settings: Behaviours, random: np.random.Generator
) -> list[Task | Untestable]:
    """One task; as many triples as the segment holds."""
    twos = max(1, settings.segment // 6)
    if 9 * twos > material.room:
        reason = f"needs {9 * twos} tokens of context, there are {material.room}"
        return [Untestable(NAME, VARIANT, reason)]
    if len(material.drawable) < 5 * twos:
        reason = f"only {len(material.drawable)} tokens to draw from"
        return [Untestable(NAME, VARIANT, reason)]
    prompts = []
    for _ in range(settings.examples):
        drawn = random.choice(material.drawable, (twos, 5), replace=False)
        triples = [(a, b, c) for a, b, c, _, _ in drawn] + [(d, b, e) for _, b, _, d, e in drawn]
        prompt = material.prompt()
        place = {}
        for k in random.permutation(2 * twos):
            place[k] = prompt.write(triples[k]) + 2
        for k in random.permutation(twos):
            chosen, other = random.permutation([k, k + twos])
            answer = triples[chosen][2]
            prompt.write(triples[chosen][:2])
            prompt.ask(
                VARIANT, answer, [answer, triples[other][2]], [place[chosen]], [place[other]]
            )
            prompt.write([answer])
        prompts.append(prompt)
    return [make_task(NAME, {VARIANT: "loose"}, prompts)]
