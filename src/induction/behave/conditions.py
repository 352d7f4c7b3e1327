"""What a model is made to do without, while it is asked: heads, or their induction pattern.

Shape suffixes as in transformer.py.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from induction.ablate.sets import HeadSet, head_sets
from induction.behave.task import Task
from induction.model.clamps import induction_targets
from induction.model.hooks import Intervention, Record, Site
from induction.model.interface import Shape
from induction.rules.head_kinds import Head, HeadKinds

Kind = Literal["intact", "ablated", "knocked out"]


@dataclass(frozen=True)
class Condition:
    """heads: none, induction or random; draw counts the random sets. chosen: the heads themselves.

    ablated: their outputs are zero. knocked out: they go on working, but may not attend where an
    induction head would.
    """

    kind: Kind
    heads: str
    draw: int
    chosen: frozenset[Head]


INTACT = Condition("intact", "none", 0, frozenset())

SITES: tuple[Site, ...] = ("resid_pre", "pattern", "z")


def conditions(
    spec: Shape, induction: Collection[Head], random_draws: int, seed: int
) -> list[Condition]:
    """The intact model; then without each of `induction_and_random`."""
    kinds: tuple[Kind, Kind] = ("ablated", "knocked out")
    sets = induction_and_random(spec, induction, random_draws, seed)
    return [
        INTACT,
        *(Condition(kind, each.name, each.draw, each.heads) for each in sets for kind in kinds),
    ]


def induction_and_random(
    spec: Shape, induction: Collection[Head], random_draws: int, seed: int
) -> list[HeadSet]:
    """The induction heads, then `matched_sets` of as many others; none without induction heads."""
    return head_sets(spec, HeadKinds(tuple(induction), ()), random_draws, seed)


def by_layer(heads: Collection[Head], spec: Shape, device: torch.device) -> dict[int, Tensor]:
    """Layers that hold some of the heads, in order → which of their heads these are, bool [H]."""
    return {
        layer: torch.tensor([(layer, head) in heads for head in range(spec.n_heads)], device=device)
        for layer in sorted({layer for layer, _ in heads})
    }


def intervention(
    condition: Condition, spec: Shape, run: Record, blocked_BTT: Tensor
) -> Intervention:
    """The condition, other than INTACT, as changes to a forward pass.

    run: what the intact pass recorded of all of SITES; what lies before the lowest of the heads is
    taken from there. blocked: from `induction_places`.
    """
    gone = by_layer(condition.chosen, spec, blocked_BTT.device)
    first = min(gone)
    start = (first, run["resid_pre", first])
    if condition.kind == "ablated":
        scale = {layer: (~gone_H).to(run["z", first].dtype) for layer, gone_H in gone.items()}
        return Intervention(head_scale=scale, z={first: run["z", first]}, start=start)
    blocked = {
        layer: blocked_BTT[:, None] & gone_H[:, None, None] for layer, gone_H in gone.items()
    }
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
