"""Losses on the evaluation set with heads taken out, in four ways (paper, "Ablations").

The kinds differ in what stands in for z, the head's output before W_O:

zero: 0.
mean: the head's mean z over all evaluation examples and positions.
resample: its z at the same position of the next example (the first one's for the last).
pattern_preserving: 0, while all heads attend as in the intact run, so that an effect can only come
from what the head writes and not from where later heads look because of it.

Shape suffixes as in transformer.py.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from induction.evaluation.evaluation_set import EvaluationSet
from induction.model.hooks import Intervention, Record
from induction.model.interface import Measurable
from induction.model.kernels import cross_entropies
from induction.model.memory import fitting_batch
from induction.rules.head_kinds import Head

Kind = Literal["zero", "mean", "resample", "pattern_preserving"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class Ablation:
    """Heads that are taken out together, and how."""

    heads: frozenset[Head]
    kind: Kind


@dataclass(frozen=True)
class AblatedLosses:
    """Losses in nats, each [examples, n_ctx]: of the intact model and under each ablation."""

    intact: np.ndarray
    ablated: dict[Ablation, np.ndarray]


@torch.no_grad()
def ablated_losses(
    model: Measurable,
    evaluation: EvaluationSet,
    ablations: Collection[Ablation],
    batch_size: int | None = None,
    tell: Callable[[float], None] = lambda share: None,
) -> AblatedLosses:
    """Run the evaluation set through the intact model and, from its lowest ablated layer on,
    through each ablation; the same ablation asked for twice is run once. tell: gets the share that
    is done, now and then.

    Memory grows with batch_size × n_layers × n_heads × n_ctx² for the intact patterns, and with
    examples × n_layers × n_ctx × d_model for the intact head outputs.
    """
    device, length = model.device, evaluation.tokens.shape[1]
    at_once = batch_size or fitting_batch(model.spec, device, length, 16, patterns=True)
    z = _all_head_outputs(model, evaluation, at_once)
    if batch_size is None:  # again: the head outputs of all examples lie on the device now
        at_once = fitting_batch(model.spec, device, length, 16, patterns=True)
    distinct = {_cheapest(ablation, model.spec.n_layers) for ablation in ablations}
    intact: list[np.ndarray] = []
    done = 0
    ablated: dict[Ablation, list[np.ndarray]] = {ablation: [] for ablation in distinct}
    for first in range(0, len(evaluation.tokens), at_once):
        tokens_BT = evaluation.tokens[first : first + at_once].to(device)
        run = Record(("resid_pre", "pattern", "z"))
        intact.append(evaluation.at_tokens(_losses(model, tokens_BT, run, None), first))
        for ablation, batches in ablated.items():
            intervention = _intervention(ablation, model, run, z, first, len(tokens_BT))
            losses = _losses(model, tokens_BT, None, intervention)
            batches.append(evaluation.at_tokens(losses, first))
            done += 1
            tell(done / (len(distinct) * -(-len(evaluation.tokens) // at_once)))
    whole = {ablation: np.concatenate(batches) for ablation, batches in ablated.items()}
    return AblatedLosses(
        intact=np.concatenate(intact),
        ablated={a: whole[_cheapest(a, model.spec.n_layers)] for a in ablations},
    )


def _cheapest(ablation: Ablation, n_layers: int) -> Ablation:
    """The same ablation, named alike: no pattern comes after the last layer's heads."""
    last_layer = all(layer == n_layers - 1 for layer, _ in ablation.heads)
    if ablation.kind == "pattern_preserving" and last_layer:
        return Ablation(ablation.heads, "zero")
    return ablation


def _all_head_outputs(
    model: Measurable, evaluation: EvaluationSet, batch_size: int
) -> dict[int, Tensor]:
    """Layer → z of every example in the intact run, [examples, H, T, K]."""
    batches: list[Record] = []
    for tokens_BT in evaluation.tokens[:, :-1].split(batch_size):
        run = Record(("z",))
        model.residual(tokens_BT.to(model.device), run)
        batches.append(run)
    # Taken out of the batches, so that no more than one layer is there twice.
    return {
        layer: torch.cat([run.values.pop(("z", layer)) for run in batches])
        for layer in range(model.spec.n_layers)
    }


def _intervention(
    ablation: Ablation,
    model: Measurable,
    run: Record,
    z: dict[int, Tensor],
    first: int,
    count: int,
) -> Intervention:
    """The ablation of examples first … first + count, given their intact run."""
    n_layers, n_heads = model.spec.n_layers, model.spec.n_heads
    start = min((layer for layer, _ in ablation.heads), default=0)
    later = range(start + 1, n_layers if ablation.kind == "pattern_preserving" else 0)
    scale, offset = {}, {}
    for layer in sorted({layer for layer, _ in ablation.heads}):
        gone_H = torch.tensor(
            [(layer, head) in ablation.heads for head in range(n_heads)], device=model.device
        )
        scale[layer] = (~gone_H).float()
        if ablation.kind in ("mean", "resample"):
            stand_in = _stand_in(ablation.kind, z[layer], first, count)
            offset[layer] = stand_in * gone_H[:, None, None]
    return Intervention(
        head_scale=scale,
        head_offset=offset,
        # What the lowest ablated layer reads is intact, and so are its heads' outputs.
        z={start: run["z", start]},
        patterns={layer: run["pattern", layer] for layer in later},
        start=(start, run["resid_pre", start]),
    )


def _stand_in(kind: Kind, z_EHTK: Tensor, first: int, count: int) -> Tensor:
    """What takes the place of z of examples first … first + count, [B or 1, H, T or 1, K]."""
    if kind == "mean":
        return z_EHTK.mean(dim=(0, 2), keepdim=True)
    following = (torch.arange(first, first + count, device=z_EHTK.device) + 1) % len(z_EHTK)
    return z_EHTK[following]


def _losses(
    model: Measurable,
    tokens_BT: Tensor,
    record: Record | None,
    intervention: Intervention | None,
) -> np.ndarray:
    resid_BTD = model.residual(tokens_BT[:, :-1], record, intervention)
    targets_BT = tokens_BT[:, 1:]
    losses_N = cross_entropies(resid_BTD.flatten(0, 1), model.W_U, targets_BT.flatten())
    return losses_N.view(targets_BT.shape).cpu().numpy()
