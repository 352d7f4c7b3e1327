"""Sentences and tables of the report, on results whose answer is known."""

from types import SimpleNamespace
from typing import Any, cast

import polars as pl
import pytest

from induction.config import load_config
from induction.paths import find_study
from induction.report import ablations, behaviours, causes, curiosities, findings, text
from induction.report.results import Ablations, Results

CONFIG = load_config(find_study().params)


def results(**parts: Any) -> Results:
    """Only what a sentence reads."""
    return cast("Results", SimpleNamespace(**{"config": CONFIG, **parts}))


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

    metrics = {"one": {"onset_tokens": None}, "two": {"onset_tokens": 3}}
    same = causes.windows_sentence(results(metrics=metrics, windows=table(None, 3.0, None, 4.0)))
    assert same.startswith("In 2 of 2 pairs")
    assert "rests on" not in same
    lost = causes.windows_sentence(results(metrics=metrics, windows=table(None, 3.0, None, None)))
    assert lost.startswith("In 1 of 2 pairs")
    assert "rests on" in lost
    assert lost.endswith("it is 1 of 2.")
    more = causes.windows_sentence(results(metrics=metrics, windows=table(None, 3.0, 2.0, 4.0)))
    assert more.startswith("In 1 of 2 pairs")


def test_what_the_first_rule_leaves_out_is_counted_over_models_with_a_change():
    metrics = {name: {"onset_tokens": 3} for name in ("a", "b", "c")} | {
        "d": {"onset_tokens": None}
    }
    details = {name: {"bump": {"peak_tokens": 1} if name in "ad" else None} for name in metrics}
    turns = {"a": {"null_percentile": 94.9}, "b": {"null_percentile": 95.0}, "c": None, "d": None}
    found = results(metrics=metrics, details=details, loss_space=SimpleNamespace(turns=turns))
    assert causes.co_occurring(found) == (1, 1, 3)
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
    found = results(config=config, curves=curves, details={"smear": {"induction_heads": "0.0"}})
    rows = causes.smear_shares(found).splitlines()[-2:]
    assert rows == [
        "| `smear` | 0.0 | 0.01 | 0.80 | induction head |",
        "| `smear` | 0.1 | 0.90 | 0.00 |  |",
    ]
    plain = CONFIG.model_copy(update={"models": {"attn-1l": CONFIG.models["attn-1l"]}})
    assert causes.smear_shares(results(config=plain)) == ""


def test_other_heads_that_pass_the_thresholds_of_the_weights_are_counted():
    own = heads(
        layer=[0, 1, 1, 1],
        head=[0, 0, 1, 2],
        ov_eigenvalue=[1.0, 1.0, 1.0, 0.9],
        qk_eigenvalue=[None, 0.9, 0.9, 0.1],
    )
    details = {"a": {"induction_heads": "1.0"}, "b": {"induction_heads": ""}}
    told = causes.other_heads_sentence(results(curves={"a": own, "b": own}, details=details))
    assert "in 1 of the 2 other heads" in told


def test_the_band_holds_a_share_of_the_fall():
    details = {"a": {"band_share": 0.756}, "b": {"band_share": None}, "c": {"band_share": 1.04}}
    told = causes.band_sentence(results(details=details))
    assert "`a` 76\u00a0%, `c` 104\u00a0%." in told
    assert "`b`" not in told
    assert causes.band_sentence(results(details={"b": {"band_share": None}})) == ""


def test_lags_beyond_chance_are_named():
    rows = {"a": (-0.3, (-0.5, -0.1)), "b": (0.1, (-0.1, 0.3)), "c": (0.2, (0.1, 0.3))}
    found = results(
        metrics={name: {"lag": lag} for name, (lag, _) in rows.items()},
        details={name: {"intervals": {"lag": ends}} for name, (_, ends) in rows.items()},
    )
    told = causes.lag_sentence(found)
    assert told.endswith("this holds for `a`; `c` have all of theirs above zero.")


def test_previous_token_heads_are_taken_out_both_ways():
    own = sets(
        ("previous_token", 0, "0.3", "zero", 0.42, 0.5),
        ("previous_token", 0, "0.3", "pattern_preserving", -0.11, 0.1),
    )
    without = sets(("random", 0, "0.3", "zero", 0.42, 0.5))
    details = {"a": {"induction_heads": "1.0"}, "b": {"induction_heads": "1.0"}}
    table = ablations.previous_token_paths(
        results(ablations={"a": own, "b": without}, details=details)
    )
    assert table.splitlines()[2:] == [
        "| `a` | 0.3 | 0.42 (0.32 to 0.52) | −0.11 (−0.21 to −0.01) |"
    ]


def test_the_loss_of_sets_is_a_mean_over_random_ones():
    own = sets(
        ("induction", 0, "1.0", "zero", 0.4, 0.5),
        ("random", 0, "1.1", "zero", 0.0, 0.2),
        ("random", 1, "1.2", "zero", 0.0, 0.4),
        ("random", 1, "1.2", "pattern_preserving", 0.0, 9.0),
    )
    told = ablations.loss_sentence(results(ablations={"a": own}))
    assert "by 0.50 to 0.50 nats without the induction heads and by 0.30 to 0.30" in told
    assert ablations.loss_sentence(results(ablations={"a": sets(own.sets.row(0)[:6])})) == ""


@pytest.mark.parametrize(
    ("shares", "shown"),
    [([], "–"), ([-0.29], "−29\u00a0% (1 set)"), ([0.1, -0.1], "−10\u00a0% to 10\u00a0% (2 sets)")],
)
def test_random_sets_are_counted(shares, shown):
    removed = {"share": 1.0, "low": 0.9, "high": 1.1}
    attribution = {
        "control": "c",
        "gain": 0.4,
        "heads": ["1.0"],
        "induction": removed,
        "previous_token": None,
        "random": [{"share": share} for share in shares],
    }
    table = ablations.ablated_sets(results(details={"a": {"attribution": attribution}}))
    assert table.splitlines()[-1].endswith(f"| – | {shown} |")


def test_text_that_is_continued_rightly_at_once_is_no_copying():
    names = ("behaviour", "variant", "condition", "step", "accuracy", "chance")
    rows = [
        ("literal copying", "text, first copy", "intact", 1, 0.1, 0.1),
        ("literal copying", "text, first copy", "intact", 2, 0.5, 0.1),
        ("literal copying", "text, first copy", "ablated", 2, 0.2, 0.1),
        ("literal copying", "text", "intact", 2, 0.9, 0.1),
    ]
    table = pl.DataFrame(rows, schema=names, orient="row")
    other = table.with_columns(pl.col("accuracy") + 0.1)
    own = {"a": SimpleNamespace(behaviours=table), "b": SimpleNamespace(behaviours=other)}
    told = behaviours._first_copy_sentence(results(behaviours=own))
    assert "50\u00a0% to 60\u00a0% of places (chance: 10\u00a0%)" in told


def test_slopes_whose_order_turns_round_are_said_to_invert(monkeypatch):
    models = {name: CONFIG.models[name] for name in ("attn-1l", "attn-2l")}
    config = CONFIG.model_copy(update={"models": models})
    found = results(
        config=config,
        loss_maps=dict.fromkeys(models, 1),
        metrics={"attn-1l": {"band_tokens": None}, "attn-2l": {"band_tokens": [2e6, 3e6]}},
    )

    def told(shallow: float, deep: float) -> str:
        early, late = {"attn-1l": -0.3, "attn-2l": -0.2}, {"attn-1l": shallow, "attn-2l": deep}
        monkeypatch.setattr(
            curiosities, "_slope", lambda _, name, tokens: (late if tokens > 1e6 else early)[name]
        )
        return curiosities._order_of_slopes(found)

    assert told(-0.1, -0.5).endswith("The order inverts.")
    assert told(-0.6, -0.5).endswith("The order does not invert.")


def test_the_same_score_is_judged_by_the_step_that_another_rule_allows():
    step = CONFIG.verdicts.max_icl_step

    def told(worst: float) -> str:
        metrics = {
            "attn-2l": {"onset_tokens": 1, "icl_score": -0.5},
            "attn-3l": {"onset_tokens": 1, "icl_score": worst},
        }
        return curiosities._same_score(results(metrics=metrics))

    assert "within the" in told(-0.5 + 0.9 * step)
    assert "more than the" in told(-0.5 + 1.1 * step)


def test_variance_of_two_components_alone():
    def told(*shares: float) -> str:
        space = SimpleNamespace(
            explained_variance=shares, explained_variance_smooth=shares, noise=0
        )
        return causes.variance_sentence(results(loss_space=space))

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
    told = curiosities._negative_copying(results(curves={"a": own}))
    assert "Of 2 heads" in told
    assert "1 fall short of the copying threshold (`a 1.0`)" in told
    assert "between 0.15 and 0.30; chance is 0." in told
    none = heads(layer=[1], head=[0], prefix_matching=[0.0], total_copying=[None])
    assert "No head matches" in curiosities._negative_copying(results(curves={"a": none}))


def test_what_circuits_leave_out_is_said_by_family_where_there_are_models_of_others():
    alone, beside = (SimpleNamespace(external=others) for others in ({}, {"theirs": None}))
    assert text.circuits_sentence(results(config=alone)) == ""
    said = text.circuits_sentence(results(config=beside))
    assert "; `gpt_neo` biases, learned positions and the limits of local windows; " in said
    assert said.endswith(" and the limits of local windows.")


def test_one_model_without_a_history_is_said_to_tell_nothing_of_a_change():
    metrics = {"a": {"onset_tokens": 5}, "b": {"onset_tokens": None}, "c": {"onset_tokens": None}}
    details = {name: {"traced": name != "c"} for name in metrics}
    told = findings.outcome_sentences(results(metrics=metrics, details=details, verdicts=[]))
    assert told.startswith(
        "In 1 of 2 models in-context learning changed abruptly, in `b` it did not. In `c` it "
        "cannot be told: there are too few snapshots."
    )


def test_how_models_of_others_were_read_is_said():
    reading = {
        "source": "a/b",
        "tokenizer": "tokenizer.json of a/b",
        "weights": "",
        "start_token": {"id": 0, "text": "<s>", "why": "set by the key start_token"},
        "left_out": [{"name": "step2", "step": 2, "reason": "has no weights"}],
        "shared": [{"revisions": ["step1", "step3"], "tensors": ["embed", "q"], "of": 9}],
    }
    assert text.readings_text(results(readings={})) == ""
    said = text.readings_text(results(readings={"theirs": reading}))
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
    details = {"a": {"induction_heads": "1.0"}, "b": {"induction_heads": ""}}
    told = causes.matching_heads(results(curves={"a": own, "b": own}, details=details))
    first, second = told.splitlines()[2:]
    assert first.startswith("| `a` | 1.0 | 0.90 | −0.90 | 0.80 (0.70 to 0.90) | 1.50 | 0.10 | yes")
    assert second.rstrip(" |").endswith("no")
    none = own.last_heads.filter(pl.col("head") == 1)
    told = causes.matching_heads(
        results(curves={"a": SimpleNamespace(last_heads=none)}, details=details)
    )
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
