"""Sentences and tables of the report, on results whose answer is known."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from made_summary import CONFIG, REMOVED, made_results, model

from induction.external.reading import LeftOut, Reading, Shared, StartToken
from induction.report import ablations, causes, side_remarks, text, zoo
from induction.report.results import Ablations, StoredLossSpace
from induction.report.sentences import sentence
from induction.rules.head_kinds import HeadKinds
from induction.study.attribution import Removed
from induction.study.bump import Bump
from induction.study.lag import Lag
from induction.study.pca import Explained
from induction.study.steepening import Steepening
from induction.study.summary import ModelSummary
from induction.study.trajectory_angle import TrajectoryAngle

CHANGED, FLAT = model("two", 2, 3e6), model("one")


def space(*shares: float, **turns: TrajectoryAngle | None) -> StoredLossSpace:
    """Components of these shares, and the turns of these models."""
    found = Explained(list(shares), list(shares), 0.0, 9, turns)
    return StoredLossSpace(found, pl.DataFrame(), pl.DataFrame())


def heads(**columns: Any) -> SimpleNamespace:
    return SimpleNamespace(last_heads=pl.DataFrame(columns))


def sets(*rows: tuple) -> Ablations:
    """Rows of (set, draw, heads, kind, attribution, loss change), of one snapshot."""
    names = ("set", "draw", "heads", "kind", "icl_attribution", "loss_change")
    table = pl.DataFrame(rows, schema=names, orient="row").with_columns(
        step=pl.lit(7),
        icl_low=pl.col("icl_attribution") - 0.1,
        icl_high=pl.col("icl_attribution") + 0.1,
    )
    return Ablations(heads=pl.DataFrame(), sets=table)


def test_the_choice_of_windows_is_told_by_the_pairs_that_agree():
    def table(*onsets: float | None) -> pl.DataFrame:
        pairs = [(16, 31, 224, 255), (32, 63, 224, 255)]
        rows = [
            (name, *pair, onset)
            for pair, found in zip(pairs, (onsets[:2], onsets[2:]), strict=True)
            for name, onset in zip(("one", "two"), found, strict=True)
        ]
        names = ("model", "early_from", "early_to", "late_from", "late_to", "onset_tokens")
        found = pl.DataFrame(rows, schema=names, orient="row")
        return found.with_columns(relative_onset_tokens="onset_tokens")

    def told(*onsets: float | None) -> str:
        return causes.windows_sentence(made_results(FLAT, CHANGED, windows=table(*onsets)))

    same = told(None, 3.0, None, 4.0)
    assert same.startswith("In 2 of 2 pairs")
    assert "rests on" not in same
    lost = told(None, 3.0, None, None)
    assert lost.startswith("In 1 of 2 pairs")
    assert "rests on" in lost
    assert lost.endswith("these models change with 1 of 2.")
    more = told(None, 3.0, 2.0, 4.0)
    assert more.startswith("In 1 of 2 pairs")
    flat, changed = (
        replace(FLAT, relative_change=CHANGED.change),
        replace(CHANGED, relative_change=None),
    )
    apart = causes.windows_sentence(made_results(flat, changed, windows=table(None, 3.0, 2.0, 4.0)))
    assert apart.endswith(
        "with 1 of 2; with the study's own pair it also counts `one` and leaves out `two`."
    )


def test_what_the_first_rule_leaves_out_is_counted_over_models_with_a_change():
    bump = Bump(1.0, 1.0, 1.0, 0.1, True)
    models = [
        replace(CHANGED, name="a", bump=bump),
        *(replace(CHANGED, name=name) for name in "bc"),
        replace(FLAT, name="d", bump=bump),
    ]
    turns = {"a": TrajectoryAngle(9.0, 1.0, 0.3, 94.9), "b": TrajectoryAngle(9.0, 1.0, 0.3, 95.0)}
    found = made_results(*models, loss_space=space(1.0, **turns, c=None, d=None))
    assert causes.co_occurring(found) == {"bumps": 1, "turns": 1, "changed": 3}
    told = causes.left_out_sentence(found)
    assert "1 of the 3 models" in told
    assert "in 1 of 3 it is sharper" in told


def test_a_smeared_models_heads_tell_how_much_of_their_key_is_their_own():
    smeared = CONFIG.models["attn-1l"].model_copy(update={"smeared_keys": True})
    config = CONFIG.model_copy(update={"models": {"smear": smeared}})
    curves = {
        "smear": heads(
            layer=[0, 0], head=[0, 1], own_key_share=[0.014, 0.9], prefix_matching=[0.8, 0.0]
        )
    }
    found = made_results(model("smear", 1, 3e6, smeared=True), config=config, curves=curves)
    rows = causes.smear_shares(found).splitlines()[-2:]
    assert rows == [
        "| `smear` | 0.0 | 0.01 | 0.80 | induction head |",
        "| `smear` | 0.1 | 0.90 | 0.00 |  |",
    ]
    plain = CONFIG.model_copy(update={"models": {"attn-1l": CONFIG.models["attn-1l"]}})
    assert causes.smear_shares(made_results(config=plain)) == ""


def test_other_heads_that_pass_the_thresholds_of_the_weights_are_counted():
    own = heads(
        layer=[0, 1, 1, 1],
        head=[0, 0, 1, 2],
        ov_eigenvalue=[1.0, 1.0, 1.0, 0.9],
        qk_eigenvalue=[None, 0.9, 0.9, 0.1],
    )
    curves = {"one": own, "two": own}
    told = causes.other_heads_sentence(made_results(FLAT, CHANGED, curves=curves))
    assert "in 1 of the 2 other heads" in told


def test_the_band_holds_a_share_of_the_fall():
    shares = {"a": 0.756, "b": None, "c": 1.04}
    assert CHANGED.change
    models = [
        replace(CHANGED, name=name, change=replace(CHANGED.change, share=share))
        for name, share in shares.items()
    ]
    told = causes.band_sentence(made_results(*models, FLAT))
    assert "`a` 76\u00a0%, `c` 104\u00a0%." in told
    assert "`b`" not in told
    assert causes.band_sentence(made_results(FLAT, models[1])) == ""


def test_lags_beyond_chance_are_named():
    rows = {"a": (-0.3, (-0.5, -0.1)), "b": (0.1, (-0.1, 0.3)), "c": (0.2, (0.1, 0.3))}
    models = [
        replace(CHANGED, name=name, lag=Lag(3e6, 3e6, lag, ends, 32))
        for name, (lag, ends) in rows.items()
    ]
    told = causes.lag_sentence(made_results(*models, FLAT))
    assert told.endswith("this holds for `a`; `c` has all of its above zero.")
    told = causes.lag_sentence(made_results(replace(CHANGED, lag=Lag(3e6, 3e6, 0.1, None, 32))))
    assert told.endswith("intervals: `two` 0.10. Negative means that the heads came first.")
    assert causes.lag_sentence(made_results(FLAT)) == "No model has both onsets."


def test_bumps_and_steepenings_are_told_with_their_place_or_as_none():
    bump, steepening = Bump(1.0, 2e6, 3.0, 0.1, True), Steepening(1.0, 3e6, 0.1)
    models = [replace(CHANGED, name=name, bump=bump, steepening=steepening) for name in "ab"]
    told = causes.bump_sentence(made_results(*models, FLAT))
    assert "(a bump) in `a` at 2M, `b` at 2M. Over ln(tokens), its fall steepens again" in told
    assert "slowing down in `a` at 3M, `b` at 3M. Steepening is" in told
    told = causes.bump_sentence(made_results(FLAT))
    assert "bump: all are convex. Over ln(tokens), no fall steepens again. Steepening" in told


def test_previous_token_heads_are_taken_out_both_ways():
    own = sets(
        ("previous_token", 0, "0.3", "zero", 0.42, 0.5),
        ("previous_token", 0, "0.3", "pattern_preserving", -0.11, 0.1),
    )
    without = sets(("random", 0, "0.3", "zero", 0.42, 0.5))
    models = [replace(CHANGED, name=name) for name in "ab"]
    table = ablations.previous_token_paths(
        made_results(*models, ablations={"a": own, "b": without})
    )
    assert table.splitlines()[2:] == [
        "| `a` | 0.3 | 0.42 (0.32 to 0.52) | −0.11 (−0.21 to −0.01) |"
    ]


@pytest.mark.parametrize(
    ("worse", "better", "told"),
    [
        ([], [0.2, 0.1], "better in 2 of 3, by 0.10 to 0.20 nats: whatever these heads"),
        ([0.1], [0.2], "worse in 1 of 3 models, by 0.10 nats, and better in 1 of 3, by 0.20 nats."),
        ([0.1], [], "worse in 1 of 3 models, by 0.10 nats."),
        ([], [], "detectably neither worse nor better in any of 3 models."),
    ],
)
def test_what_kept_patterns_leave_of_in_context_learning_is_said(worse, better, told):
    values = {"models": 3, "worse": worse, "better": better}
    said = sentence("ablations", "previous_token", **values)
    assert said.startswith(f"With patterns kept, in-context learning gets {told}")
    assert sentence("ablations", "previous_token", models=0, worse=[], better=[]) == ""


def test_the_loss_of_sets_is_a_mean_over_random_ones():
    own = sets(
        ("induction", 0, "1.0", "zero", 0.4, 0.5),
        ("random", 0, "1.1", "zero", 0.0, 0.2),
        ("random", 1, "1.2", "zero", 0.0, 0.4),
        ("random", 1, "1.2", "pattern_preserving", 0.0, 9.0),
    )
    told = ablations.loss_sentence(made_results(ablations={"a": own}))
    assert "by 0.50 to 0.50 nats without the induction heads and by 0.30 to 0.30" in told
    assert ablations.loss_sentence(made_results(ablations={"a": sets(own.sets.row(0)[:6])})) == ""


@pytest.mark.parametrize(
    ("shares", "shown"),
    [([], "–"), ([-0.29], "−29\u00a0% (1 set)"), ([0.1, -0.1], "−10\u00a0% to 10\u00a0% (2 sets)")],
)
def test_random_sets_are_counted(shares, shown):
    random = tuple(Removed(share, share, share) for share in shares)
    attribution = replace(REMOVED, previous_token=None, random=random)
    table = ablations.ablated_sets(made_results(replace(CHANGED, attribution=attribution)))
    assert table.splitlines()[-1].endswith(f"| – | {shown} |")


def test_slopes_whose_order_turns_round_are_said_to_invert(monkeypatch):
    models = {name: CONFIG.models[name] for name in ("attn-1l", "attn-2l")}
    config = CONFIG.model_copy(update={"models": models})
    changed = [model("attn-1l", 1), model("attn-2l", 2, 2e6)]
    found = made_results(*changed, config=config, loss_maps=dict.fromkeys(models, 1))

    def told(shallow: float, deep: float) -> str:
        early, late = {"attn-1l": -0.3, "attn-2l": -0.2}, {"attn-1l": shallow, "attn-2l": deep}
        monkeypatch.setattr(
            side_remarks, "_slope", lambda _, name, tokens: (late if tokens > 1e6 else early)[name]
        )
        return sentence("side_remarks", "order_of_slopes", **side_remarks.order_of_slopes(found))

    told_early = (
        "half-way to the first band −0.30 (1), −0.20 (2); inside the bands −0.10 (1), −0.50"
    )
    assert told(-0.1, -0.5).endswith(f"{told_early} (2). The order inverts.")
    assert told(-0.6, -0.5).endswith("The order does not invert.")
    vars(found)["models"] = {name: model(name) for name in models}
    assert told(-0.6, -0.5).endswith("The zoo lacks a series of depths with a change.")


def test_the_same_score_is_judged_by_the_step_that_another_rule_allows():
    step = CONFIG.verdicts.max_icl_step

    def told(**scores: float) -> str:
        models = {name.replace("_", "-"): score for name, score in scores.items()}
        found = [replace(CHANGED, name=name, icl_score=score) for name, score in models.items()]
        values = side_remarks.same_score(made_results(*found))
        return sentence("side_remarks", "same_score", **values)

    assert "nats (`attn-3l`): within the" in told(attn_3l=-0.5 + 0.9 * step, attn_2l=-0.5)
    assert "nats (`attn-3l`): more than the" in told(attn_2l=-0.5, attn_3l=-0.5 + 1.1 * step)
    assert told(attn_2l=-0.5, smear_2l=0.0).endswith("Fewer than two plain models change here.")


def test_induction_heads_of_the_last_layer_are_counted_in_attention_only_models():
    early = replace(CHANGED, name="early", kinds=HeadKinds(((0, 0), (1, 3)), ()))
    mlp = replace(CHANGED, entry=CHANGED.entry.model_copy(update={"attn_only": False}))
    assert side_remarks.last_layers(made_results(FLAT, early, mlp)) == {"last": 1, "total": 2}


def test_heads_of_neither_kind_are_counted_in_models_with_induction_heads():
    one_layer = {"layer": [0, 1, 1], "head": [0, 0, 1], "icl_attribution": [-0.1, -0.2, 0.3]}
    own = {name: SimpleNamespace(last_heads=pl.DataFrame(one_layer)) for name in ("one", "two")}

    def told(*models: ModelSummary) -> str:
        found = made_results(*models, ablations={each.name: own[each.name] for each in models})
        return sentence("side_remarks", "others_hinder", **side_remarks.others_hinder(found))

    many = told(FLAT, CHANGED)
    assert "induction heads, 1 of 2 (50\u00a0%, 95 % interval 1\u00a0% to 99\u00a0%" in many
    assert "if heads were independent) of the heads of neither kind" in many
    assert "induction heads, none of the heads of neither kind" in told(FLAT)


def test_variance_of_two_components_alone():
    def told(*shares: float) -> str:
        return causes.variance_sentence(made_results(loss_space=space(*shares)))

    assert "together 50\u00a0%. The next ones hold 10\u00a0%. With a" in told(0.3, 0.2, 0.1)
    assert "together 50\u00a0%. With a" in told(0.3, 0.2)


def test_negative_copying_counts_heads_that_match_prefixes():
    rule = CONFIG.head_kinds
    own = heads(
        layer=[1, 1, 1],
        head=[0, 1, 2],
        prefix_matching=[rule.prefix_matching, 1.0, 0.0],
        total_copying=[rule.total_copying - 0.1, 0.3, None],
    )

    def told(own: SimpleNamespace) -> str:
        values = side_remarks.negative_copying(made_results(curves={"a": own}))
        return sentence("side_remarks", "negative_copying", **values)

    assert "Of 2 heads" in told(own)
    assert "1 falls short of the copying threshold (`a 1.0`)" in told(own)
    assert "between 0.15 and 0.30; chance is 0." in told(own)
    none = heads(layer=[1], head=[0], prefix_matching=[0.0], total_copying=[None])
    assert "No head matches" in told(none)


def test_what_circuits_leave_out_is_said_by_family_where_there_are_models_of_others():
    alone, beside = (SimpleNamespace(external=others) for others in ({}, {"theirs": None}))
    assert zoo.circuits_sentence(made_results(config=alone)) == ""
    said = zoo.circuits_sentence(made_results(config=beside))
    assert "; `gpt_neo` biases, learned positions and the limits of local windows; " in said
    assert said.endswith(" and the limits of local windows.")


def test_how_models_of_others_were_read_is_said():
    reading = Reading(
        source="a/b",
        tokenizer="tokenizer.json of a/b",
        weights="",
        start_token=StartToken(0, "<s>", "set by the key start_token"),
        left_out=[LeftOut("step2", 2, "has no weights")],
        shared=[Shared(["step1", "step3"], ["embed", "q"], 9)],
    )
    assert zoo.readings_text(made_results(readings={})) == ""
    said = zoo.readings_text(made_results(readings={"theirs": reading}))
    assert said.startswith("`theirs` is `a/b`, read with `tokenizer.json of a/b`; in front of")
    assert "stands `<s>` (set by the key start_token). Revisions left out: `step2` (`has" in said
    assert "`step1` and `step3` hold 2 of 9 matrices that are equal to the last bit" in said


def test_heads_that_match_prefixes_are_listed_with_all_their_copying_scores():
    own = heads(
        layer=[1, 1],
        head=[0, 1],
        prefix_matching=[0.9, 0.1],
        copying=[-0.9, 0.5],
        total_copying=[0.8, None],
        total_copying_low=[0.7, None],
        total_copying_high=[0.9, None],
        total_copying_nats=[1.5, None],
        copying_taken_out=[0.1, None],
    )
    told = causes.matching_heads(made_results(FLAT, CHANGED, curves={"two": own, "one": own}))
    first, second = told.splitlines()[2:]
    assert first.startswith(
        "| `two` | 1.0 | 0.90 | −0.90 | 0.80 (0.70 to 0.90) | 1.50 | 0.10 | yes"
    )
    assert second.rstrip(" |").endswith("no")
    none = own.last_heads.filter(pl.col("head") == 1)
    curves = {"one": SimpleNamespace(last_heads=none)}
    told = causes.matching_heads(made_results(FLAT, curves=curves))
    assert told == "No head matches prefixes."


@pytest.mark.parametrize(
    ("tokens", "told"),
    [(None, "–"), (0.0, "0"), (4123456.0, "4.12M"), (3e9, "3B"), (2e12, "2T")],
)
def test_tokens_are_told_shortly(tokens, told):
    assert text.short_tokens(tokens) == told


def test_digests_are_cut_and_nothing_else():
    assert text.short_digest("0123456789abcdef" * 4) == "0123456789ab…"
    assert text.short_digest("src/**/*.py") == "src/**/*.py"
