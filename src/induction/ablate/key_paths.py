"""What each head adds to the keys of the heads after it, cut one path at a time (path patching).

A path leads from a head to the keys of a later one, directly and through the MLPs between them, and
past all other heads, whose outputs stay. It is cut by giving the keys what the earlier head adds on
the next probe sequence, whose random tokens are others; queries and values stay. What prefix
matching then loses hangs on what that head told the keys about their own sequence (paper,
"Mechanistic Argument": K-composition with a previous-token head). Shape suffixes as in
transformer.py.
"""

import polars as pl
import torch
from torch import Tensor

from induction.evaluation.evaluation_set import EvaluationSet
from induction.measure.prefix_matching import copy_weights
from induction.model.hooks import Intervention, Record
from induction.model.interface import Measurable
from induction.model.kernels import causal_patterns
from induction.model.transformer import Transformer

SCHEMA = {
    **dict.fromkeys(("layer", "head", "from_layer", "from_head"), pl.Int64),
    **dict.fromkeys(("prefix_matching", "without"), pl.Float64),
}
_AT_ONCE = 8  # sequences, whose patterns stay in a processor's cache


@torch.no_grad()
def key_paths(model: Measurable, evaluation: EvaluationSet) -> pl.DataFrame:
    """A row for each head of a later layer and each head before it, with columns of SCHEMA.

    prefix_matching: the later head's score, intact; without: with the path cut; both between 0
    and 1. No rows for a model of one layer, for one that is not of this study (adapters do not
    offer keys from another stream), and for one with clamped heads, which do not follow their keys.
    """
    if not isinstance(model, Transformer) or model.spec.clamp != "none":
        return pl.DataFrame(schema=SCHEMA)
    probes, spec = evaluation.probes, model.spec
    totals: dict[tuple[int, int, int], Tensor] = {}
    intact: dict[int, Tensor] = {}
    nothing = torch.zeros(spec.n_heads, device=model.device)
    for first in range(0, len(probes.periods), _AT_ONCE):
        rows = torch.arange(first, min(first + _AT_ONCE, len(probes.periods)))
        # The next sequence stands in, the first one for the last.
        both = torch.cat([rows, (rows + 1) % len(probes.periods)])
        run = Record(("resid_pre", "z"))
        model.residual(probes.tokens[both].to(model.device), run)
        wanted_BTT = copy_weights(probes, first, len(rows)).roll(1, dims=-1).to(model.device)
        wanted_BTT[..., 0] = 0  # as in the score: the start token is no target
        for layer in range(1, spec.n_layers):
            resid_BTD = run["resid_pre", layer][: len(rows)]
            found_H = _scores(model, layer, resid_BTD, resid_BTD, wanted_BTT)
            intact[layer] = intact.get(layer, nothing) + found_H
        for source in (
            (layer, head) for layer in range(spec.n_layers - 1) for head in range(spec.n_heads)
        ):
            cut = _with_stand_in(model, run, source, len(rows))
            for layer in range(source[0] + 1, spec.n_layers):
                resid_BTD = run["resid_pre", layer][: len(rows)]
                found_H = _scores(model, layer, resid_BTD, cut["resid_pre", layer], wanted_BTT)
                totals[layer, *source] = totals.get((layer, *source), nothing) + found_H
    count = len(probes.periods)
    table = [
        (layer, head, *source, float(intact[layer][head]) / count, float(found[head]) / count)
        for (layer, *source), found in totals.items()
        for head in range(spec.n_heads)
    ]
    return pl.DataFrame(table, schema=SCHEMA, orient="row")


def _with_stand_in(model: Transformer, run: Record, source: tuple[int, int], count: int) -> Record:
    """The streams of the first sequences with one head's output taken from the others, while all
    other heads' outputs stay."""
    layer, head = source
    kept = {each: run["z", each][:count] for each in range(model.spec.n_layers)}
    offset_BHTK = torch.zeros_like(kept[layer])
    offset_BHTK[:, head] = run["z", layer][count:, head] - kept[layer][:, head]
    cut = Record(("resid_pre",))
    start = (layer, run["resid_pre", layer][:count])
    tokens_BT = torch.zeros(count, offset_BHTK.shape[2], dtype=torch.long, device=model.device)
    model.residual(
        tokens_BT, cut, Intervention(z=kept, head_offset={layer: offset_BHTK}, start=start)
    )
    return cut


def _scores(
    model: Transformer, layer: int, queries_BTD: Tensor, keys_BTD: Tensor, wanted_BTT: Tensor
) -> Tensor:
    """Prefix matching of a layer's heads with queries and keys from two streams, [H], summed over
    sequences."""
    block, positions_TD = model.blocks[layer], model.positions[: queries_BTD.shape[1]]
    q_BHTK, _ = block.attn.queries_keys(block.ln1(queries_BTD), positions_TD)
    _, k_BHTK = block.attn.queries_keys(block.ln1(keys_BTD), positions_TD)
    return (causal_patterns(q_BHTK, k_BHTK) * wanted_BTT[:, None]).sum((0, 2, 3))
