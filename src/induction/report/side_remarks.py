"""The paper's side remarks, checked on this zoo: sentences with the study's numbers."""

import numpy as np
import polars as pl

from induction.report.results import Results, of_heads
from induction.report.text import names, number, percent


def all_sentences(results: Results) -> str:
    """A bullet list, one remark of the paper each, with what is found here."""
    remarks = (_same_score, _last_layers, _others_hinder, _negative_copying, _order_of_slopes)
    return "\n".join(f"- {remark(results)}" for remark in remarks)


def _plain_changed(results: Results) -> list[str]:
    models = results.config.studied
    return [name for name in results.changed if models[name].plain]


def _same_score(results: Results) -> str:
    lead = "*The score is about the same for all sizes after the change.*"
    changed = _plain_changed(results)
    if len(changed) < 2:
        return f"{lead} Fewer than two plain models change here."
    scores = {name: results.models[name].icl_score for name in changed}
    step = results.config.verdicts.max_icl_step
    best, worst = min(scores, key=scores.__getitem__), max(scores, key=scores.__getitem__)
    return (
        f"{lead} Among the plain models that change, it ends between {number(scores[best])} "
        f"({names([best])}) and {number(scores[worst])} nats ({names([worst])}): "
        f"{'within' if scores[worst] - scores[best] <= step else 'more than'} the {number(step)} "
        "nats that Argument 6 allows from one depth to the next."
    )


def _last_layers(results: Results) -> str:
    lead = "*In attention-only models, induction heads sit in the last layer.*"
    models = results.config.studied
    last = total = 0
    for name, model in results.models.items():
        if models[name].attn_only:
            layers = [layer for layer, _ in model.kinds.induction]
            total += len(layers)
            last += sum(layer == models[name].n_layers - 1 for layer in layers)
    return f"{lead} Of {total} found in such models, {last} do."


def _others_hinder(results: Results) -> str:
    lead = "*Taking out most other heads makes in-context learning better.*"
    better = total = 0
    for name, own in results.ablations.items():
        kinds = results.models[name].kinds
        known = of_heads({*kinds.induction, *kinds.previous_token})
        others = own.last_heads.filter(~known)
        if kinds.induction:
            total += len(others)
            better += int((others["icl_attribution"] < 0).sum())
    share = f"{better} of {total} ({percent(better / total)})" if total else "none"
    return (
        f"{lead} In models with induction heads, {share} of the heads of neither kind do so here; "
        "chance alone would give half."
    )


def _negative_copying(results: Results) -> str:
    lead = "*Some heads match prefixes but copy negatively (in large models).*"
    rule = results.config.head_kinds
    matching = {
        f"{name} {row['layer']}.{row['head']}": row["total_copying"]
        for name, own in results.curves.items()
        for row in own.last_heads.filter(
            pl.col("prefix_matching") >= rule.prefix_matching
        ).iter_rows(named=True)
    }
    if not matching:
        return f"{lead} No head matches prefixes here."
    found = [head for head, copying in matching.items() if copying < rule.total_copying]
    return (
        f"{lead} Of {len(matching)} heads that match prefixes here, {len(found)} fall short of the "
        f"copying threshold{f' ({names(found)})' if found else ''}. Their scores of total copying "
        f"lie between {number(min(matching.values()))} and {number(max(matching.values()))}; "
        "chance is 0."
    )


def _order_of_slopes(results: Results) -> str:
    """Over the plain attention-only series, before the first band and within the last one."""
    lead = "*The order in which sizes profit from training inverts at the change.*"
    models, maps = results.config.studied, results.loss_maps
    series = {
        model.n_layers: name
        for name, model in reversed(models.items())
        if model.attn_only and model.plain and maps[name] is not None
    }
    bands = [results.models[name].band_tokens for name in series.values()]
    bands = [band for band in bands if band]
    if len(series) < 2 or not bands:
        return f"{lead} The zoo lacks a series of depths with a change."
    before = np.sqrt(results.config.phase_change.min_tokens * min(band[0] for band in bands))
    within = float(np.median([np.sqrt(band[0] * band[1]) for band in bands]))
    parts, orders = [], []
    for when, tokens in (("half-way to the first band", before), ("inside the bands", within)):
        slopes = {depth: _slope(results, series[depth], tokens) for depth in sorted(series)}
        orders.append(sorted(slopes, key=slopes.__getitem__))
        told = (f"{number(slope)} ({depth})" for depth, slope in slopes.items())
        parts.append(f"{when} {', '.join(told)}")
    inverted = orders[0] == orders[1][::-1]
    return (
        f"{lead} Slope of the loss in nats per e-fold of tokens, by number of layers: "
        f"{'; '.join(parts)}. The order {'inverts' if inverted else 'does not invert'}."
    )


def _slope(results: Results, name: str, tokens: float) -> float:
    found = results.loss_maps[name]
    assert found is not None
    return float(np.interp(np.log(tokens), np.log(found.tokens), found.by_tokens.mean(axis=1)))
