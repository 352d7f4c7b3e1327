"""Tables and sentences on what causes what: ablations, circuits, components, windows."""

from collections.abc import Sequence
from math import log

import polars as pl

from induction.report.results import Results
from induction.report.text import code, markdown_table, names, number, percent, short_tokens


def ablated_sets(results: Results) -> str:
    """Share of the ICL gain that goes with each set of heads, at the end of training."""
    rows = []
    for name, details in results.details.items():
        found = details["attribution"]
        if found is None:
            continue
        random = [draw["share"] for draw in found["random"]]
        rows.append(
            (
                f"`{name}`",
                f"`{found['control']}`",
                number(found["gain"]),
                " ".join(found["heads"]),
                _removed(found["induction"]),
                _removed(found["previous_token"]),
                f"{percent(min(random))} to {percent(max(random))}" if random else "–",
            )
        )
    return markdown_table(
        (
            "model",
            "control",
            "gain (nats)",
            "induction heads",
            "without them (95 % interval)",
            "without previous-token heads",
            "without random others",
        ),
        "llrlrrr",
        rows,
    )


def _removed(removed: dict | None) -> str:
    if removed is None:
        return "–"
    interval = f"{percent(removed['low'])} to {percent(removed['high'])}"
    return f"{percent(removed['share'])} ({interval})"


def ablation_kinds(results: Results) -> str:
    """What each induction head is worth alone, by every way to take it out."""
    kinds = ("zero", "mean", "resample", "pattern_preserving")
    rows = []
    for name, own in results.ablations.items():
        last = own.heads.filter(pl.col("step") == pl.col("step").max())
        for head in results.details[name]["induction_heads"].split():
            layer, index = map(int, head.split("."))
            found = dict(
                last.filter((pl.col("layer") == layer) & (pl.col("head") == index))
                .select("kind", "icl_attribution")
                .iter_rows()
            )
            effects = (number(found.get(kind)) for kind in kinds)
            rows.append((f"`{name}`", head, *effects))
    header = ("model", "head", "zero", "mean", "another text's", "zero, patterns kept")
    return markdown_table(header, "llrrrr", rows)


def circuits(results: Results) -> str:
    """Every induction head in the weights, with the head that its keys read."""
    return markdown_table(
        ("model", "head", "OV", "QK", "reads", "its previous-token score", "K", "Q", "V"),
        "llrrlrrrr",
        (
            (
                f"`{name}`",
                circuit["head"],
                number(circuit["ov_eigenvalue"]),
                number(circuit["qk_eigenvalue"]),
                circuit["partner"] or "–",
                number(circuit["partner_previous_token"]),
                *(number(circuit[letter]) for letter in "kqv"),
            )
            for name, details in results.details.items()
            for circuit in details["circuits"]
        ),
    )


def variance_sentence(results: Results) -> str:
    """How much of the variance two components hold, against two thirds, and why not more."""
    space = results.loss_space
    two, smooth = sum(space.explained_variance[:2]), sum(space.explained_variance_smooth[:2])
    first, second, *rest = (percent(share) for share in space.explained_variance)
    return (
        f"The first two components hold {first} and {second} of the variance, together "
        f"{percent(two)}: {'more' if two >= 2 / 3 else 'less'} than two thirds. The next ones hold "
        f"{', '.join(rest)}. With a constant learning rate, losses jitter from snapshot to "
        f"snapshot: smoothing every loss over ln(tokens) takes {percent(space.noise)} of the "
        f"variance away, and of what the smooth paths hold, the same two components explain "
        f"{percent(smooth)}."
    )


def turns(results: Results) -> str:
    """How much each trajectory turns at its band and elsewhere, against the shuffled null."""
    return markdown_table(
        ("model", "at the band (°)", "elsewhere (°)", "width (e-folds)", "percentile of the null"),
        "lrrrr",
        (
            (
                f"`{name}`",
                number(turn["inside"], 0),
                number(turn["outside"], 0),
                number(turn["width"]),
                number(turn["null_percentile"], 0),
            )
            for name, turn in results.loss_space.turns.items()
            if turn
        ),
    )


def heavy_tokens(results: Results, components: Sequence[int], count: int) -> str:
    """The tokens that weigh most on some components, after the text before them."""
    rows = results.loss_space.tokens.filter(
        pl.col("component").is_in(components) & (pl.col("rank") <= count)
    )
    return markdown_table(
        ("component", "weight", "token", "after"),
        "rrll",
        (
            (
                str(row["component"]),
                number(row["weight"], 3),
                code(row["token"]),
                code(row["context"][-50:]),
            )
            for row in rows.iter_rows(named=True)
        ),
    )


def windows(results: Results) -> str:
    """Range of the ICL score and of the onset over all pairs of windows."""
    return markdown_table(
        ("model", "ICL score", "onset", "pairs with a change"),
        "lrrr",
        (
            _window_row(name, rows)
            for (name,), rows in results.windows.group_by("model", maintain_order=True)
        ),
    )


def _window_row(name: object, rows: pl.DataFrame) -> tuple[str, str, str, str]:
    scores, onsets = sorted(rows["icl_score"]), rows["onset_tokens"].drop_nulls()
    found = [short_tokens(onset) for onset in sorted(onsets.to_list())]
    return (
        f"`{name}`",
        f"{number(scores[0])} to {number(scores[-1])}",
        f"{found[0]} to {found[-1]}" if found else "–",
        f"{len(onsets)} of {len(rows)}",
    )


def lag_sentence(results: Results) -> str:
    """Whether prefix matching or in-context learning changed first."""
    parts = []
    for name, row in results.metrics.items():
        if row["lag"] is not None:
            ends = results.details[name]["intervals"]["lag"]
            interval = f" ({number(ends[0])} to {number(ends[1])})" if ends else ""
            parts.append(f"`{name}` {number(row['lag'])}{interval}")
    if not parts:
        return "No model has both onsets."
    return (
        "From the onset of the ICL score to that of the best prefix-matching score, in e-folds of "
        f"tokens with 95 % intervals: {'; '.join(parts)}. Negative means that the heads came first."
    )


def seeds_sentence(results: Results) -> str:
    """How far the onsets of models lie apart that differ in nothing but their seed."""
    groups: dict[tuple, list[str]] = {}
    for name, model in results.config.models.items():
        alike = (model.n_layers, model.attn_only, model.smeared_keys, model.optimizer, model.tokens)
        if results.metrics[name]["onset_tokens"]:
            groups.setdefault(alike, []).append(name)
    sentences = []
    for seeds in groups.values():
        if len(seeds) > 1:
            onsets = sorted(results.metrics[name]["onset_tokens"] for name in seeds)
            scores = sorted(results.metrics[name]["icl_score"] for name in seeds)
            sentences.append(
                f"{names(seeds)} differ in their seed alone: their onsets lie "
                f"{number(log(onsets[-1] / onsets[0]))} e-folds of tokens apart, their ICL scores "
                f"at the end {number(scores[-1] - scores[0])} nats."
            )
    return " ".join(sentences)


def bump_sentence(results: Results) -> str:
    """In which models the loss curve has a bump or steepens again, and where."""
    bumps = {n: d["bump"]["peak_tokens"] for n, d in results.details.items() if d["bump"]}
    steeper = {
        n: d["steepening"]["end_tokens"] for n, d in results.details.items() if d["steepening"]
    }
    bumped = _where(bumps, "Over tokens, the loss curve stands above its convex hull (a bump) in")
    steepened = _where(steeper, "Over ln(tokens), its fall steepens again after slowing down in")
    return (
        f"{bumped or 'Over tokens, no loss curve has a bump: all are convex.'} "
        f"{steepened or 'Over ln(tokens), no fall steepens again.'} The second rule is weaker, and "
        "its threshold was chosen after the curves had been seen."
    )


def _where(places: dict[str, float], lead: str) -> str:
    listed = ", ".join(f"`{name}` at {short_tokens(tokens)}" for name, tokens in places.items())
    return f"{lead} {listed}." if listed else ""
