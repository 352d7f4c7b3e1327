"""Tables and sentences on what goes with what: onsets, circuits, components, windows."""

from collections.abc import Sequence

import polars as pl

from induction.report.results import Results
from induction.report.sentences import Values, sentence
from induction.report.text import code, markdown_table, number, short_tokens
from induction.rules.head_kinds import head_names
from induction.study.heads import of_heads

PAPERS_SHARE = 0.75  # of the final ICL score that the change brings, by the paper's account


def smear_shares(results: Results) -> str:
    """How much of its own key each head of the smeared models keeps; nothing without them."""
    rows = [
        (
            f"`{name}`",
            head_names([head]),
            number(row["own_key_share"]),
            number(row["prefix_matching"]),
            "induction head" if head in results.models[name].kinds.induction else "",
        )
        for name, model in results.config.models.items()
        if model.smeared_keys
        for row in results.curves[name].last_heads.sort("layer", "head").iter_rows(named=True)
        for head in [(row["layer"], row["head"])]
    ]
    if not rows:
        return ""
    header = ("model", "head", "share of the own key", "prefix matching", "")
    return f"{sentence('causes', 'smear_shares')}\n\n{markdown_table(header, 'llrrl', rows)}"


def matching_heads(results: Results) -> str:
    """What copying scores say of every head that matches prefixes; nothing where none does."""
    rows = [
        (
            f"`{name}`",
            head_names([head]),
            number(row["prefix_matching"]),
            number(row["copying"]),
            f"{number(row['total_copying'])} ({number(row['total_copying_low'])} to "
            f"{number(row['total_copying_high'])})",
            number(row["total_copying_nats"]),
            number(row["copying_taken_out"]),
            "yes" if head in results.models[name].kinds.induction else "no",
        )
        for name, curves in results.curves.items()
        for row in curves.last_heads.filter(pl.col("total_copying").is_not_null())
        .sort("layer", "head")
        .iter_rows(named=True)
        for head in [(row["layer"], row["head"])]
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
    return sentence("causes", "other_heads", least=least, passing=passing, total=total)


def left_out_sentence(results: Results) -> str:
    """What of the paper's evidence for co-occurrence the rule leaves out, and what came of it."""
    return sentence("causes", "left_out", **co_occurring(results))


def co_occurring(results: Results) -> dict[str, int]:
    """How many models with a change there are, and how many of them have a bump in their loss, and
    a turn beyond 95 % of the null."""
    turns = [results.loss_space.explained.angles.get(name) for name in results.changed]
    return {
        "bumps": sum(results.models[name].bump is not None for name in results.changed),
        "turns": sum(turn is not None and turn.null_percentile >= 95 for turn in turns),
        "changed": len(results.changed),
    }


def band_sentence(results: Results) -> str:
    """How much of the whole fall of the ICL score lies inside each band; nothing without bands."""
    shares = {
        name: model.change.share
        for name, model in results.models.items()
        if model.change and model.change.share is not None
    }
    above = sum(share > PAPERS_SHARE for share in shares.values())
    found = {"shares": shares, "above": above, "paper": PAPERS_SHARE}
    return sentence("causes", "band", **found) if shares else ""


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
    found = results.loss_space.explained
    shares, smooth = found.explained_variance, found.explained_variance_smooth
    return sentence("causes", "variance", shares=shares, smooth=smooth, noise=found.noise)


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
            for name, turn in results.loss_space.explained.angles.items()
            if turn
        ),
    )


def top_loading_tokens(results: Results, components: Sequence[int], count: int) -> str:
    """The tokens that weigh most on some components, after the text before them."""
    rows = results.loss_space.top_loading_tokens.filter(
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
        ("model", "ICL score", "onset", "pairs with a change", "onset, relative rule", "pairs"),
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
    """In how many pairs of windows the models with a change are those of the study's own pair."""
    return sentence("causes", "windows", **windows_that_agree(results))


def windows_that_agree(results: Results) -> Values:
    """The same as numbers, by either rule, and what the relative rule finds besides with the
    study's own pair of windows."""
    own = set(results.changed)
    in_nats, pairs = _pairs_as(results.windows, "onset_tokens", own)
    relative, _ = _pairs_as(results.windows, "relative_onset_tokens", own)
    models = results.models.items()
    by_relative = {name for name, model in models if model.relative_change is not None}
    return {
        "in_nats": in_nats,
        "relative": relative,
        "pairs": pairs,
        "rests_on_windows": in_nats < pairs,
        "besides": sorted(by_relative - own),
        "missing": sorted(own - by_relative),
    }


def _pairs_as(table: pl.DataFrame, onset: str, own: set[str]) -> tuple[int, int]:
    """In how many pairs of windows the models with an onset are these, and of how many."""
    keys = ["early_from", "early_to", "late_from", "late_to"]
    same = [
        set(rows.filter(pl.col(onset).is_not_null())["model"]) == own
        for _, rows in table.group_by(keys, maintain_order=True)
    ]
    return sum(same), len(same)


def lag_sentence(results: Results) -> str:
    """Whether prefix matching or in-context learning changed first, and in which models the whole
    interval of the lag lies on one side of 0."""
    lags = {name: model.lag for name, model in results.models.items() if model.lag}
    ends = {name: lag.interval for name, lag in lags.items() if lag.interval}
    return sentence(
        *("causes", "lag"),
        lags=lags,
        heads_first=[name for name, found in ends.items() if max(found) < 0],
        heads_later=[name for name, found in ends.items() if min(found) > 0],
    )


def bump_sentence(results: Results) -> str:
    """In which models the loss curve has a bump or steepens again, and where."""
    models = results.models.items()
    bumps = {name: model.bump.peak_tokens for name, model in models if model.bump}
    steeper = {name: m.steepening.end_tokens for name, m in models if m.steepening}
    return sentence("causes", "bump", bumps=bumps, steepenings=steeper)
