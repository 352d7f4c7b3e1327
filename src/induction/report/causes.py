"""Tables and sentences on what goes with what: onsets, circuits, components, windows."""

from collections.abc import Sequence

import polars as pl

from induction.report.results import Results, of_heads
from induction.report.text import code, markdown_table, names, number, percent, short_tokens
from induction.study.head_kinds import head_names


def smear_shares(results: Results) -> str:
    """How much of its own key each head of the smeared models keeps; nothing without them."""
    rows = [
        (
            f"`{name}`",
            f"{row['layer']}.{row['head']}",
            number(row["own_key_share"]),
            number(row["prefix_matching"]),
            "induction head"
            if (row["layer"], row["head"]) in results.models[name].kinds.induction
            else "",
        )
        for name, model in results.config.models.items()
        if model.smeared_keys
        for row in results.curves[name].last_heads.sort("layer", "head").iter_rows(named=True)
    ]
    if not rows:
        return ""
    header = ("model", "head", "share of the own key", "prefix matching", "")
    return (
        "What the keys have become at the end of training: a share of one is a plain key, a share "
        "of zero the key of the token before, which does for a head what a previous-token head "
        f"would.\n\n{markdown_table(header, 'llrrl', rows)}"
    )


def matching_heads(results: Results) -> str:
    """What copying scores say of every head that matches prefixes; nothing where none does."""
    rows = [
        (
            f"`{name}`",
            f"{row['layer']}.{row['head']}",
            number(row["prefix_matching"]),
            number(row["copying"]),
            f"{number(row['total_copying'])} ({number(row['total_copying_low'])} to "
            f"{number(row['total_copying_high'])})",
            number(row["total_copying_nats"]),
            number(row["copying_taken_out"]),
            "yes" if (row["layer"], row["head"]) in results.models[name].kinds.induction else "no",
        )
        for name, curves in results.curves.items()
        for row in curves.last_heads.filter(pl.col("total_copying").is_not_null())
        .sort("layer", "head")
        .iter_rows(named=True)
    ]
    header = (
        *("model", "head", "prefix matching", "copying, direct path", "total copying"),
        *("in nats", "taken out", "induction head"),
    )
    return markdown_table(header, "llrrrrrl", rows) if rows else "No head matches prefixes."


def other_heads_sentence(results: Results) -> str:
    """How many heads that are no induction heads pass the same thresholds on their eigenvalues."""
    least, passing, total = results.config.verdicts.min_eigenvalue, 0, 0
    for name, curves in results.curves.items():
        known = results.models[name].kinds.induction
        if known:
            others = curves.last_heads.filter(
                ~of_heads(known) & pl.col("qk_eigenvalue").is_not_null()
            )
            total += len(others)
            passing += others.filter(
                (pl.col("ov_eigenvalue") >= least) & (pl.col("qk_eigenvalue") >= least)
            ).height
    return (
        f"Both eigenvalue scores reach {number(least)} in {passing} of the {total} other heads in "
        "the same models that have an earlier layer to read: they alone do not tell an induction "
        "head from others."
    )


def left_out_sentence(results: Results) -> str:
    """What of the paper's evidence for co-occurrence the rule leaves out, and what came of it."""
    bumps, turns, changed = co_occurring(results)
    return (
        "The rule asks for the score and the heads alone. The paper shows two more things at the "
        f"change. One is a bump in the loss curve: {bumps} of the {changed} models with a change "
        f"have one here (@sec-bump). The other is a turn of the path through per-token losses: in "
        f"{turns} of {changed} it is sharper than in 95 % of shuffled paths (@tbl-turns)."
    )


def co_occurring(results: Results) -> tuple[int, int, int]:
    """How many models with a change have a bump in their loss, a turn beyond 95 % of the null, and
    how many there are."""
    bumps = sum(results.models[name].bump is not None for name in results.changed)
    turns = [results.loss_space.explained.turns.get(name) for name in results.changed]
    sharp = sum(turn is not None and turn.null_percentile >= 95 for turn in turns)
    return bumps, sharp, len(results.changed)


def band_sentence(results: Results) -> str:
    """How much of the whole fall of the ICL score lies inside each band."""
    shares = {
        name: model.change.share
        for name, model in results.models.items()
        if model.change and model.change.share is not None
    }
    if not shares:
        return ""
    listed = ", ".join(f"`{name}` {percent(share)}" for name, share in shares.items())
    return (
        "Of the fall of the smoothed ICL score from the first snapshot that the rule looks at to "
        f"the last, the band holds: {listed}. Above 100 %, the score rises outside. The paper "
        "reports more than 75 %."
    )


def circuits(results: Results) -> str:
    """Every induction head in the weights, with the head that its keys read."""
    return markdown_table(
        ("model", "head", "OV", "QK", "reads", "its previous-token score", "K", "Q", "V"),
        "llrrlrrrr",
        (
            (
                f"`{name}`",
                head_names([circuit.head]),
                number(circuit.ov_eigenvalue),
                number(circuit.qk_eigenvalue),
                head_names([circuit.partner]) if circuit.partner else "–",
                number(circuit.partner_previous_token),
                *map(number, (circuit.k, circuit.q, circuit.v)),
            )
            for name, model in results.models.items()
            for circuit in model.circuits
        ),
    )


def variance_sentence(results: Results) -> str:
    """How much of the variance two components hold, and why not more."""
    space = results.loss_space.explained
    two, smooth = sum(space.explained_variance[:2]), sum(space.explained_variance_smooth[:2])
    first, second, *rest = (percent(share) for share in space.explained_variance)
    following = f" The next ones hold {', '.join(rest)}." if rest else ""
    return (
        f"The first two components hold {first} and {second} of the variance, together "
        f"{percent(two)}.{following} With a constant learning rate, losses jitter from snapshot to "
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
                number(turn.inside, 0),
                number(turn.outside, 0),
                number(turn.width),
                number(turn.null_percentile, 0),
            )
            for name, turn in results.loss_space.explained.turns.items()
            if turn
        ),
    )


def heavy_tokens(results: Results, components: Sequence[int], count: int) -> str:
    """The tokens that weigh most on some components, after the text before them."""
    rows = results.loss_space.heavy_tokens.filter(
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
    """Range of the ICL score and of the onset over all pairs of windows, by both onset rules."""
    return markdown_table(
        ("model", "ICL score", "onset", "pairs with a change", "onset, other rule", "pairs"),
        "lrrrrr",
        (
            _window_row(name, rows)
            for (name,), rows in results.windows.group_by("model", maintain_order=True)
        ),
    )


def _window_row(name: object, rows: pl.DataFrame) -> tuple[str, ...]:
    scores = sorted(rows["icl_score"])
    onsets = (_onsets(rows[column]) for column in ("onset_tokens", "relative_onset_tokens"))
    found = (text for pair in onsets for text in pair)
    return f"`{name}`", f"{number(scores[0])} to {number(scores[-1])}", *found


def _onsets(column: pl.Series) -> tuple[str, str]:
    """The earliest and the latest onset, and how many pairs of windows have one."""
    found = [short_tokens(onset) for onset in sorted(column.drop_nulls().to_list())]
    return f"{found[0]} to {found[-1]}" if found else "–", f"{len(found)} of {len(column)}"


def windows_sentence(results: Results) -> str:
    """In how many pairs of windows the models with a change are those of the study's own pair, by
    either rule."""
    own = set(results.changed)
    in_nats, total = _pairs_as(results.windows, "onset_tokens", own)
    relative, _ = _pairs_as(results.windows, "relative_onset_tokens", own)
    rests = (
        "In the others some change is too small or too slow for the rule while the heads are "
        "there: by this rule Argument 1 rests on the choice of windows. "
        if in_nats < total
        else ""
    )
    return (
        f"In {in_nats} of {total} pairs the same models have a phase change as with the pair that "
        f"the study uses. {rests}By the other rule of @sec-rule, which asks for no number of nats, "
        f"it is {relative} of {total}."
    )


def _pairs_as(table: pl.DataFrame, onset: str, own: set[str]) -> tuple[int, int]:
    """In how many pairs of windows the models with an onset are these, and of how many."""
    keys = ["early_from", "early_to", "late_from", "late_to"]
    same = [
        set(rows.filter(pl.col(onset).is_not_null())["model"]) == own
        for _, rows in table.group_by(keys, maintain_order=True)
    ]
    return sum(same), len(same)


def lag_sentence(results: Results) -> str:
    """Whether prefix matching or in-context learning changed first."""
    parts = []
    for name, model in results.models.items():
        if found := model.lag:
            ends = found.interval
            interval = f" ({number(ends[0])} to {number(ends[1])})" if ends else ""
            parts.append(f"`{name}` {number(found.lag)}{interval}")
    if not parts:
        return "No model has both onsets."
    return (
        "From the onset of the ICL score to that of the best prefix-matching score, in e-folds of "
        f"tokens with 95 % intervals: {'; '.join(parts)}. Negative means that the heads came first"
        f"{_sure_of(results)}."
    )


def _sure_of(results: Results) -> str:
    """In which models the whole interval of the lag lies on one side of 0."""
    ends = {name: model.lag and model.lag.interval for name, model in results.models.items()}
    first = [name for name, found in ends.items() if found and max(found) < 0]
    later = [name for name, found in ends.items() if found and min(found) > 0]
    told = f"; with its whole interval, this holds for {names(first)}" if first else ""
    return told + (f"; {names(later)} have all of theirs above zero" if later else "")


def bump_sentence(results: Results) -> str:
    """In which models the loss curve has a bump or steepens again, and where."""
    models = results.models.items()
    bumps = {name: model.bump.peak_tokens for name, model in models if model.bump}
    steeper = {name: m.steepening.end_tokens for name, m in models if m.steepening}
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
