"""Total copying: whether a head that matches prefixes raises the token that it found, in the
model's output, through everything that comes after it.

The paper's copying score follows the direct path from a head to the logits. In a deep model a head
in the middle writes for the layers above it, so its direct path says nothing (direct against total
effect: Pearl 2001; Vig et al. 2020). Heads also stand in for each other: take one out, and others
do its work. So a head is looked at by itself: all heads that match prefixes are taken out, and it
alone is put back.

Shape suffixes as in transformer.py; S sample tokens.
"""

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from induction.evaluation.evaluation_set import EvaluationSet
from induction.evaluation.probes import Probes
from induction.model.hooks import Intervention, Record
from induction.model.interface import Measurable

Head = tuple[int, int]

NAMES = ("total_copying", "total_copying_low", "total_copying_high", "total_copying_nats")
TAKEN_OUT = "copying_taken_out"
_Z = 1.96  # standard errors of a mean in its 95 % interval


@torch.no_grad()
def measure(
    model: Measurable, evaluation: EvaluationSet, prefix_matching: np.ndarray, matches_from: float
) -> dict[str, np.ndarray]:
    """Total copying of the heads with a prefix-matching score of at least `matches_from`.

    On a segment of random tokens and its first repeat. At each token of the repeat, the head's
    effect on the logits of the segment's tokens is what they are with it minus what they are
    without; the score is the share of the other tokens that the found one, which followed the
    current token before, is raised above, rescaled from [0, 1] to [−1, 1]; equal ones count half.
    So 1 is copying, −1 its opposite, and 0 chance, whatever the vocabulary, the depth and the
    segment's length. Mean over the tokens of a sequence, then over sequences.

    Returns [n_layers, n_heads] arrays, NaN for all other heads. "total_copying": with the head put
    back alone where all these heads are taken out; "…_low", "…_high": its 95 % interval over
    sequences; "…_nats": how far the found token's logit is raised above the mean of the others.
    "copying_taken_out": the score of the head's effect in the intact model, which falls short where
    others stand in for it. And "joint_copying", [2]: score and nats of all these heads together.
    """
    found = _Found(model, evaluation.probes)
    shape = prefix_matching.shape
    scores = {name: np.full(shape, np.nan) for name in (*NAMES, TAKEN_OUT)}
    heads: list[Head] = [(int(a), int(b)) for a, b in np.argwhere(prefix_matching >= matches_from)]
    if not heads:
        return {**scores, "joint_copying": np.zeros(2)}
    intact, none = found.without([]), found.without(heads)
    for head in heads:
        by_itself = found.without([other for other in heads if other != head])
        rank, nats = _effect(by_itself, none)
        half = _Z * rank.std(ddof=1) / len(rank) ** 0.5 if len(rank) > 1 else np.inf
        values = (rank.mean(), rank.mean() - half, rank.mean() + half, nats.mean())
        for name, value in zip(NAMES, values, strict=True):
            scores[name][head] = value
        scores[TAKEN_OUT][head] = _effect(intact, found.without([head]))[0].mean()
    joint = [float(each.mean()) for each in _effect(intact, none)]
    return {**scores, "joint_copying": np.array(joint)}


class _Found:
    """The logits of the segments' tokens at their first repeat, under ablations of heads.

    What lies below the lowest of the heads is run once.
    """

    def __init__(self, model: Measurable, probes: Probes):
        self._model = model
        self._periods = [int(period) for period in probes.periods]
        self._tokens_BT = probes.tokens[:, : 1 + 2 * max(self._periods)].to(model.device)
        self._run = Record(("resid_pre",))
        self._intact = self._logits(model.residual(self._tokens_BT, self._run))

    def without(self, heads: Collection[Head]) -> list[Tensor]:
        """For each sequence, [S queries, S tokens]: the found token of a query is the next one."""
        if not heads:
            return self._intact
        layers = sorted({layer for layer, _ in heads})
        n_heads, device = self._model.spec.n_heads, self._model.device
        scale = {
            layer: torch.tensor(
                [float((layer, head) not in heads) for head in range(n_heads)], device=device
            )
            for layer in layers
        }
        start = (layers[0], self._run["resid_pre", layers[0]])
        changes = Intervention(head_scale=scale, start=start)
        return self._logits(self._model.residual(self._tokens_BT, None, changes))

    def _logits(self, resid_BTD: Tensor) -> list[Tensor]:
        rows = zip(resid_BTD, self._tokens_BT, self._periods, strict=True)
        return [
            resid_TD[n + 1 : 2 * n + 1] @ self._model.W_U[:, tokens_T[1 : n + 1]]
            for resid_TD, tokens_T, n in rows
        ]


def _effect(with_it: list[Tensor], without: list[Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Score and nats of each sequence, [B] each."""
    ranks, nats = [], []
    for raised_SS in (one - other for one, other in zip(with_it, without, strict=True)):
        n = len(raised_SS)
        is_found_SS = torch.eye(n, dtype=torch.bool, device=raised_SS.device).roll(1, dims=1)
        found_S1 = raised_SS[is_found_SS][:, None]
        others_SS = raised_SS[~is_found_SS].view(n, n - 1)
        above, equal = (others_SS < found_S1).float(), (others_SS == found_S1).float()
        ranks.append(float(2 * (above + equal / 2).mean() - 1))
        nats.append(float((found_S1[:, 0] - others_SS.mean(dim=1)).mean()))
    return np.array(ranks), np.array(nats)
