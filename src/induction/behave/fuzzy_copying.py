"""Fuzzy copying: [A][B] … [A*] → [B], where A* is like A but another token.

A prompt is a list of pairs of random words [A][B], then the same pairs in another order, each A
replaced by its like: no token that precedes an answer has stood in the prompt before, and order
does not give it away. The likes are

- `case`: the same letters in another case;
- `space`: the same letters with or without a space before them;
- `neighbour`: the nearest other word by cosine in the embedding of the model's last snapshot,
  neither of the two above.

The right place is B behind A, wrong ones are the other Bs; the candidates are the Bs of the prompt.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping

import numpy as np

from induction.behave.material import Material
from induction.behave.task import CANDIDATES, Task, Untestable, make_task
from induction.config import Behaviours

NAME = "fuzzy copying"

_ROWS = 1000  # of the table of cosines at once: whole, it is of gigabytes for a large vocabulary


def make(
    material: Material, settings: Behaviours, random: np.random.Generator
) -> list[Task | Untestable]:
    """A task for each kind of likeness."""
    likes = {"case": _by_case, "space": _by_space, "neighbour": _by_embedding}
    return [
        _task(variant, find(material), material, settings, random)
        for variant, find in likes.items()
    ]


def _task(
    variant: str,
    likes: Mapping[int, list[int]],
    material: Material,
    settings: Behaviours,
    random: np.random.Generator,
) -> Task | Untestable:
    """likes: token → tokens that can take its place."""
    count = settings.segment // 2
    if 4 * count > material.room:
        reason = f"needs {4 * count} tokens of context, there are {material.room}"
        return Untestable(NAME, variant, reason)
    prompts = []
    for _ in range(settings.examples):
        pairs = _draw(likes, count, random)
        if pairs is None:
            return Untestable(
                NAME, variant, f"the vocabulary has under {count} such pairs of words"
            )
        taken = {token for pair in pairs for token in pair}
        free = np.array([token for token in material.words if token not in taken])
        if len(free) < count:
            return Untestable(NAME, variant, f"the vocabulary has under {3 * count} words")
        answers = random.choice(free, count, replace=False).tolist()
        prompt = material.prompt()
        places = [prompt.write([a, b]) + 1 for (a, _), b in zip(pairs, answers, strict=True)]
        for k in random.permutation(count):
            prompt.write([pairs[k][1]])
            others = random.permutation(np.delete(answers, k))[: CANDIDATES - 1].tolist()
            wrong = [place for place in places if place != places[k]]
            prompt.ask(variant, answers[k], [answers[k], *others], [places[k]], wrong)
            prompt.write([answers[k]])
        prompts.append(prompt)
    return make_task(NAME, {variant: "loose"}, prompts)


def _draw(
    likes: Mapping[int, list[int]], count: int, random: np.random.Generator
) -> list[tuple[int, int]] | None:
    """Pairs of a token and its like, no token in two of them; None where there are too few."""
    pairs: list[tuple[int, int]] = []
    taken: set[int] = set()
    for token in random.permutation(sorted(likes)):
        like = int(random.choice(likes[int(token)]))
        if not {int(token), like} & taken:
            pairs.append((int(token), like))
            taken |= {int(token), like}
        if len(pairs) == count:
            return pairs
    return None


def _by_case(material: Material) -> dict[int, list[int]]:
    return _groups(material, lambda text: text.lower())


def _by_space(material: Material) -> dict[int, list[int]]:
    return _groups(material, lambda text: text.removeprefix(" "))


def _groups(material: Material, key: Callable[[str], str]) -> dict[int, list[int]]:
    """Words that have the same key as others, with these."""
    same: dict[str, list[int]] = defaultdict(list)
    for token in material.words:
        same[key(material.texts[token])].append(int(token))
    return {
        token: [other for other in group if other != token]
        for group in same.values()
        if len(group) > 1
        for token in group
    }


def _by_embedding(material: Material) -> dict[int, list[int]]:
    """Each word's nearest one that is another word."""
    words = material.words
    if not len(words):
        return {}
    vectors = material.embedding()[words].astype(np.float64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True).clip(1e-12)
    folded = [material.texts[token].strip().lower() for token in words]
    word = np.unique(folded, return_inverse=True)[1]
    nearest = []
    for first in range(0, len(words), _ROWS):
        rows = slice(first, first + _ROWS)
        cosine = vectors[rows] @ vectors.T
        cosine[word[rows, None] == word] = -np.inf
        nearest += words[cosine.argmax(axis=1)].tolist()
    return {int(token): [other] for token, other in zip(words, nearest, strict=True)}
