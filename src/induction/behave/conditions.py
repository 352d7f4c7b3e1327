"""What a model is made to do without, while it is asked: heads, or their induction pattern.

Shape suffixes as in transformer.py.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from induction.ablate.sets import matched_sets
from induction.behave.task import Task
from induction.model.clamps import induction_targets
from induction.model.hooks import Intervention, Record, Site
from induction.model.interface import Shape
from induction.rules.head_kinds import Head

Kind = Literal["intact", "ablated", "knocked out"]
Heads = Literal["none", "induction", "random"]


@dataclass(frozen=True)
class Condition:
    """heads: which ones. draw counts the random sets; it is 0 for the others.

    ablated: their outputs are zero. knocked out: they go on working, but may not attend where an
    induction head would.
    """

    kind: Kind
    heads: Heads
    draw: int
    chosen: frozenset[Head]


INTACT = Condition("intact", "none", 0, frozenset())

SITES: tuple[Site, ...] = ("resid_pre", "pattern", "z")


def conditions(
    spec: Shape, induction: Collection[Head], random_draws: int, seed: int
) -> list[Condition]:
    """The intact model; then, if it has induction heads, without these and without as many others.

    The random sets are `matched_sets` of the induction heads.
    """
    if not induction:
        return [INTACT]
    sets: list[tuple[Heads, int, frozenset[Head]]] = [
        ("induction", 0, frozenset(induction)),
        *(
            ("random", draw, others)
            for draw, others in enumerate(matched_sets(spec, induction, random_draws, seed))
        ),
    ]
    kinds: tuple[Kind, Kind] = ("ablated", "knocked out")
    return [INTACT, *(Condition(kind, *heads) for heads in sets for kind in kinds)]


def intervention(
    condition: Condition, spec: Shape, run: Record, blocked_BTT: Tensor
) -> Intervention:
    """The condition, other than INTACT, as changes to a forward pass.

    run: what the intact pass recorded of all of SITES; what lies before the lowest of the heads is
    taken from there. blocked: from `induction_places`.
    """
    layers = sorted({layer for layer, _ in condition.chosen})
    first = layers[0]
    start = (first, run["resid_pre", first])
    gone = {
        layer: torch.tensor(
            [(layer, head) in condition.chosen for head in range(spec.n_heads)],
            device=blocked_BTT.device,
        )
        for layer in layers
    }
    if condition.kind == "ablated":
        scale = {layer: (~gone[layer]).to(run["z", first].dtype) for layer in layers}
        return Intervention(head_scale=scale, z={first: run["z", first]}, start=start)
    blocked = {layer: blocked_BTT[:, None] & gone[layer][:, None, None] for layer in layers}
    patterns = {first: run["pattern", first]}
    return Intervention(blocked=blocked, patterns=patterns, start=start)


def induction_places(task: Task, rows: slice) -> Tensor:
    """Where an induction pattern looks, [B, T query, T key], for some rows of a task.

    At every query, the keys that follow an earlier copy of the current token; at a question, also
    the places that the task calls right: where nothing is repeated literally, these are what a head
    would have to find by likeness.
    """
    places = induction_targets(task.tokens[rows])
    question, key = task.right.T
    row = task.example[question]
    here = (row >= rows.start) & (row < rows.stop)
    at = (row[here] - rows.start, task.query[question[here]], key[here])
    places[tuple(map(torch.from_numpy, at))] = True
    return places
