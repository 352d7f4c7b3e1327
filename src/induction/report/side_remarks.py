"""The paper's side remarks, checked on this zoo: the values of a sentence each."""

import numpy as np
import polars as pl

from induction.report.results import Results
from induction.report.sentences import Values, sentence
from induction.rules.head_kinds import head_names
from induction.study.heads import of_heads
from induction.study.over_seeds.resampling import share_interval


def all_sentences(results: Results) -> str:
    """A bullet list, one remark of the paper each, with what is found here."""
    remarks = {
        "same_score": same_score,
        "last_layers": last_layers,
        "others_hinder": others_hinder,
        "negative_copying": negative_copying,
        "order_of_slopes": order_of_slopes,
    }
    told = (sentence("side_remarks", name, **values(results)) for name, values in remarks.items())
    return "\n".join(f"- {each}" for each in told)


def same_score(results: Results) -> Values:
    """The final scores of the plain models that change, the best first, and whether they are as
    close as the rule of argument 6 asks of neighbouring depths."""
    scores = {
        name: results.models[name].icl_score
        for name in results.changed
        if results.config.studied[name].plain
    }
    step, ranked = results.config.verdicts.max_icl_step, sorted(scores.items(), key=lambda s: s[1])
    alike = bool(ranked) and ranked[-1][1] - ranked[0][1] <= step
    return {"scores": ranked, "step": step, "alike": alike}


def last_layers(results: Results) -> Values:
    """How many induction heads of attention-only models there are, and in their last layer."""
    layers = [
        layer == model.entry.n_layers - 1
        for model in results.models.values()
        if model.entry.attn_only
        for layer, _ in model.kinds.induction
    ]
    return {"last": sum(layers), "total": len(layers)}


def others_hinder(results: Results) -> Values:
    """How many heads are neither induction nor previous-token heads, in models with induction
    heads, and without how many of them the score is better."""
    better = total = 0
    for name, own in results.ablations.items():
        kinds = results.models[name].kinds
        known = of_heads({*kinds.induction, *kinds.previous_token})
        others = own.last_heads.filter(~known)
        if kinds.induction:
            total += len(others)
            better += int((others["icl_attribution"] < 0).sum())
    return {
        "better": better,
        "total": total,
        "interval": share_interval(better, total)[1:] if total else None,
    }


def negative_copying(results: Results) -> Values:
    """Total copying of every head that matches prefixes, and which heads fall short of the rule."""
    rule = results.config.head_kinds
    matching = {
        f"{name} {head_names([(layer, head)])}": copying
        for name, own in results.curves.items()
        for layer, head, copying in own.last_heads.filter(
            pl.col("prefix_matching") >= rule.prefix_matching
        )
        .select("layer", "head", "total_copying")
        .iter_rows()
    }
    short = [head for head, copying in matching.items() if copying < rule.total_copying]
    return {"copying": matching, "short": short}


def order_of_slopes(results: Results) -> Values:
    """Slopes of the loss over the plain attention-only series by depth, half-way to the first band
    and within the bands; none without a series of depths with a change."""
    models, maps = results.config.studied, results.loss_maps
    series = {
        model.n_layers: name
        for name, model in reversed(models.items())
        if model.attn_only and model.plain and maps[name] is not None
    }
    bands = [results.models[name].band_tokens for name in series.values()]
    bands = [band for band in bands if band]
    if len(series) < 2 or not bands:
        return {"before": {}, "within": {}, "inverts": False}
    half_way = np.sqrt(results.config.phase_change.min_tokens * min(band[0] for band in bands))
    inside = float(np.median([np.sqrt(band[0] * band[1]) for band in bands]))
    before, within = (
        {depth: _slope(results, series[depth], tokens) for depth in sorted(series)}
        for tokens in (half_way, inside)
    )
    inverts = sorted(before, key=before.__getitem__) == sorted(within, key=within.__getitem__)[::-1]
    return {"before": before, "within": within, "inverts": inverts}


def _slope(results: Results, name: str, tokens: float) -> float:
    found = results.loss_maps[name]
    assert found is not None
    return float(np.interp(np.log(tokens), np.log(found.tokens), found.by_tokens.mean(axis=1)))
