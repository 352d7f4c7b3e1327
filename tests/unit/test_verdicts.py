"""Verdicts follow their rules, on made summaries."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from made_behaviours import COPYING
from made_summary import CIRCUIT, CONFIG, REMOVED, model

from induction.rules.phase_change import find_phase_change, first_crossing
from induction.study.attribution import Removed
from induction.study.behaviours import Cost, TaskResult
from induction.study.cut_off import is_cut_off
from induction.study.mechanism import Circuit
from induction.study.summary import ModelSummary
from induction.study.verdicts import (
    Verdict,
    ablation,
    co_occurrence,
    co_perturbation,
    extrapolation,
    generality,
    judge,
    mechanism,
)

THRESHOLDS = CONFIG.verdicts


LITTLE = replace(REMOVED, induction=Removed(0.3, 0.2, 0.4))
FUZZY = replace(COPYING, behaviour="fuzzy copying", variant="case", kind="loose")
PATTERNS = replace(COPYING, behaviour="abstract patterns", variant="categories", kind="abstract")
TRANSLATION = replace(PATTERNS, behaviour="translation", variant="phrases")
ONE, TWO = model("one", 1, None), model("two", 2, 3e6)
SMEARED_ONE = model("smeared-one", 1, 8e5, smeared=True)
SMEARED_TWO = model("smeared-two", 2, 6e5, smeared=True)
ZOO = [ONE, TWO, SMEARED_ONE, SMEARED_TWO]


def failed(verdict: Verdict) -> list[tuple[str, ...]]:
    return [check.models for check in verdict.checks if check.held is False]


def is_open(verdict: Verdict, *models: str, settled_by: str) -> bool:
    """Whether the verdict is inconclusive for these models' check alone, and says what tells."""
    unsettled = [check for check in verdict.checks if check.held is None]
    assert [check.models for check in unsettled] == [models]
    assert settled_by in unsettled[0].settle
    assert all(check.settle == "" for check in verdict.checks if check.held is not None)
    return verdict.outcome == "inconclusive"


def test_the_papers_outcome_is_supported():
    assert co_occurrence(ZOO, THRESHOLDS).outcome == "supported"
    assert co_perturbation(ZOO, THRESHOLDS).outcome == "supported"


@pytest.mark.parametrize(
    ("zoo", "culprits"),
    [
        ([model("one", 1, 2e6), TWO], [("one",)]),
        ([replace(ONE, heads_formed_tokens=1e6), TWO], [("one",)]),
        ([ONE, model("two", 2, None)], [("two",)]),
        ([ONE, TWO, replace(TWO, name="late", heads_formed_tokens=7.9e6)], [("late",)]),
        ([ONE, TWO, replace(TWO, name="early", heads_formed_tokens=1e6)], [("early",)]),
        ([ONE, TWO, replace(TWO, name="headless", heads_formed_tokens=None)], [("headless",)]),
        ([ONE, TWO, replace(TWO, name="unmoved", change=None)], [("unmoved",)]),
    ],
)
def test_co_occurrence_fails_where_the_rule_says(zoo, culprits):
    verdict = co_occurrence(zoo, THRESHOLDS)
    assert verdict.outcome == "not supported"
    assert failed(verdict) == culprits


def test_one_model_without_a_history_is_not_asked_whether_it_changed():
    heads = replace(model("alone", 2, None), heads_formed_tokens=1e9, max_prefix_matching=0.9)
    assert co_occurrence([*ZOO, heads], THRESHOLDS).outcome == "not supported"
    verdict = co_occurrence([*ZOO, replace(heads, traced=False)], THRESHOLDS)
    assert verdict.outcome == "supported"
    assert not any("alone" in check.models for check in verdict.checks)


def test_a_deep_model_with_neither_change_nor_heads_does_not_speak_against_it():
    assert co_occurrence([*ZOO, model("slow", 2, None)], THRESHOLDS).outcome == "supported"


@pytest.mark.parametrize("zoo", [[TWO], [ONE], [SMEARED_ONE, SMEARED_TWO]])
def test_co_occurrence_needs_a_control_and_a_deeper_model(zoo):
    assert co_occurrence(zoo, THRESHOLDS).outcome == "not tested"


@pytest.mark.parametrize(
    ("zoo", "culprits"),
    [
        ([ONE, model("s", 1, None, smeared=True)], [("s", "one")]),
        ([model("one", 1, 3e6), SMEARED_ONE], [("smeared-one", "one")]),
        ([ONE, replace(SMEARED_ONE, icl_score=-0.3)], [("smeared-one", "one")]),
        ([*ZOO, model("quick", 2, 5e5)], [("smeared-two", "quick")]),
    ],
)
def test_co_perturbation_fails_where_the_rule_says(zoo, culprits):
    verdict = co_perturbation(zoo, THRESHOLDS)
    assert verdict.outcome == "not supported"
    assert failed(verdict) == culprits


def test_co_perturbation_compares_models_of_the_same_depth_and_kind_only():
    mlp = replace(ONE, name="mlp", entry=ONE.entry.model_copy(update={"attn_only": False}))
    assert co_perturbation([SMEARED_ONE, mlp, TWO], THRESHOLDS).outcome == "not tested"
    seeds = [ONE, replace(ONE, name="seed"), SMEARED_ONE]
    assert [c.models[1] for c in co_perturbation(seeds, THRESHOLDS).checks] == ["one", "seed"]


def test_ablation_is_supported_when_the_gain_goes_with_the_induction_heads_alone():
    verdict = ablation(ZOO, THRESHOLDS)
    assert verdict.outcome == "supported"
    assert verdict.evidence == "causal"


@pytest.mark.parametrize(
    "attribution",
    [
        LITTLE,
        replace(REMOVED, random=(Removed(0.9, 0.8, 1.0), Removed(0.3, 0.2, 0.4))),
    ],
)
def test_ablation_fails_where_the_rule_says(attribution):
    verdict = ablation([ONE, replace(TWO, attribution=attribution)], THRESHOLDS)
    assert verdict.outcome == "not supported"
    assert failed(verdict) == [("two", "one")]


def test_ablation_without_induction_heads_is_not_tested():
    assert ablation([ONE, replace(TWO, attribution=None)], THRESHOLDS).outcome == "not tested"


def test_mechanism_is_supported_by_heads_built_as_theory_says():
    assert mechanism(ZOO, THRESHOLDS).outcome == "supported"


@pytest.mark.parametrize(
    "circuit",
    [
        replace(CIRCUIT, ov_eigenvalue=0.2),
        replace(CIRCUIT, qk_eigenvalue=0.2),
        replace(CIRCUIT, partner_previous_token=0.1),
        replace(CIRCUIT, q=0.4),
        replace(CIRCUIT, v=0.4),
        Circuit((1, 0), 0.9, None, None, None, None, None, None),
    ],
)
def test_mechanism_fails_where_the_rule_says(circuit):
    verdict = mechanism([ONE, replace(TWO, circuits=(circuit,))], THRESHOLDS)
    assert verdict.outcome == "not supported"
    assert failed(verdict) == [("two",)]


def test_a_short_series_is_not_extrapolated():
    assert extrapolation(ZOO, THRESHOLDS).outcome == "not tested"


@pytest.mark.parametrize(
    ("onset", "icl", "outcome"),
    [(3.1e6, -0.75, "supported"), (6e6, -0.8, "not supported"), (3e6, -1.4, "not supported")],
)
def test_a_series_must_move_little_from_depth_to_depth(onset, icl, outcome):
    three = model("three", 3, 3.1e6)
    four = replace(model("four", 4, onset), icl_score=icl)
    assert extrapolation([ONE, TWO, three, four], THRESHOLDS).outcome == outcome


def test_every_judged_argument_says_what_evidence_it_has():
    verdicts = judge(ZOO, THRESHOLDS)
    assert [v.argument for v in verdicts] == [1, 2, 3, 4, 5, 6]
    assert [v.evidence for v in verdicts] == [
        "correlational",
        "interventional",
        "causal",
        "plausibility",
        "correlational",
        "analogy",
    ]


def test_a_verdict_keeps_the_thresholds_that_its_rule_used():
    kept = {name: value for v in judge(ZOO, THRESHOLDS) for name, value in v.thresholds.items()}
    asked = THRESHOLDS.model_dump().items()  # those of `steered` are of a question of its own
    assert kept == {name: value for name, value in asked if not name.startswith("steered")}


def judged_with(*behaviours: TaskResult) -> Verdict:
    return generality([ONE, replace(TWO, behaviours=(COPYING, *behaviours))], THRESHOLDS)


@pytest.mark.parametrize(
    "behaviours",
    [
        (),
        (FUZZY,),
        (FUZZY, replace(PATTERNS, accuracy_low=0.1 + THRESHOLDS.above_chance - 0.01)),
        (FUZZY, replace(PATTERNS, kind="control")),
        (FUZZY, replace(PATTERNS, labels_help=Cost(0.1, -0.1, 0.3))),  # an answer without labels
    ],
)
def test_generality_is_not_tested_by_copying_alone(behaviours):
    assert (judged_with(*behaviours).outcome, judged_with().checks) == ("not tested", ())


def test_generality_is_not_tested_without_induction_heads():
    able = replace(ONE, behaviours=(FUZZY, PATTERNS))
    assert generality([able, TWO], THRESHOLDS).outcome == "not tested"


@pytest.mark.parametrize("behaviours", [(FUZZY, PATTERNS), (PATTERNS, TRANSLATION)])
def test_generality_is_supported_when_induction_heads_do_the_abstract_work(behaviours):
    verdict = judged_with(*behaviours)
    assert verdict.outcome == "supported"
    assert verdict.checks[0].numbers == {"behaviours_done": 2.0, "behaviours_served": 2.0}
    assert verdict.checks[1].numbers == {
        "right_share": 0.8,
        "right_share_low": 0.7,
        "over_random_low": 0.1,
        "over_shuffled_low": 0.2,
    }


def looking(result: TaskResult, **changes: Any) -> TaskResult:
    assert result.looks
    return replace(result, looks=replace(result.looks, **changes))


LESS = Cost(-0.2, -0.3, -0.1)
NOTHING = Cost(0.1, -0.1, 0.3)


@pytest.mark.parametrize(
    "behaviours",
    [
        (PATTERNS,),  # one behaviour is too few
        (PATTERNS, replace(PATTERNS, variant="another")),  # as are two variants of it
        (FUZZY, replace(PATTERNS, ablated_more=LESS)),
        (FUZZY, replace(PATTERNS, knocked_out_more=LESS)),
        (FUZZY, replace(PATTERNS, ablated_more=None, knocked_out_more=None)),
        (PATTERNS, replace(TRANSLATION, accuracy_low=0.1, ablated_more=LESS)),
        (FUZZY, looking(PATTERNS, low=0.3, share=0.4, high=0.5)),
        (FUZZY, looking(PATTERNS, over_random=(-0.2, -0.1))),
        (FUZZY, looking(PATTERNS, over_shuffled=(-0.2, 0.0))),
        (looking(FUZZY, low=0.3), looking(PATTERNS, over_shuffled=(-0.2, 0.0))),
    ],
)
def test_generality_fails_where_the_rule_says(behaviours):
    verdict = judged_with(*behaviours)
    assert verdict.outcome == "not supported"
    assert set(failed(verdict)) == {("two",)}


def test_how_a_loose_copy_is_looked_for_does_not_decide():
    assert judged_with(looking(FUZZY, low=0.2, high=0.4), PATTERNS).outcome == "supported"


@pytest.mark.parametrize("which", ["over_random", "over_shuffled", "low"])
def test_generality_is_inconclusive_where_the_heads_may_look_evenly(which):
    unsure = {which: 0.4 if which == "low" else (-0.1, 0.3)}
    verdict = judged_with(FUZZY, looking(PATTERNS, **unsure))
    assert is_open(verdict, "two", settled_by="more prompts")


def test_a_prior_that_wins_over_the_labels_is_told_from_not_reading_them():
    flipped = replace(PATTERNS, accuracy_low=0.0, accuracy_high=0.02)
    assert flipped.prior_wins(THRESHOLDS)
    assert not replace(flipped, labels_help=None).prior_wins(THRESHOLDS)
    assert not replace(flipped, labels_help=Cost(0.0, -0.1, 0.1)).prior_wins(THRESHOLDS)
    assert not PATTERNS.prior_wins(THRESHOLDS)


# Inconclusive: training ended inside a change, or an interval has the threshold inside.

MORE_TOKENS, WINDOWS = "more training tokens for `{}`", "more windows"


def begun(s: ModelSummary) -> ModelSummary:
    """Training ended before its change was large enough to count."""
    return replace(s, cut_off=True)


def unfinished(s: ModelSummary) -> ModelSummary:
    assert s.change is not None
    return replace(s, cut_off=True, change=replace(s.change, complete=False))


SLOW = begun(model("slow", 2, None))
HALF = replace(unfinished(model("half", 2, 4.7e6)), heads_formed_tokens=None)


@pytest.mark.parametrize(
    ("zoo", "models"),
    [
        ([ONE, TWO, HALF], ("half",)),  # heads that were half formed when training ended
        ([ONE, TWO, SLOW], ("slow",)),
        ([ONE, TWO, replace(SLOW, heads_formed_tokens=7e6)], ("slow",)),
        ([begun(ONE), TWO], ("one",)),
    ],
)
def test_co_occurrence_is_inconclusive_where_training_ended_inside_a_change(zoo, models):
    verdict = co_occurrence(zoo, THRESHOLDS)
    assert is_open(verdict, *models, settled_by=MORE_TOKENS.format(models[0]))


def test_co_occurrence_is_inconclusive_when_the_only_change_has_just_begun():
    verdict = co_occurrence([ONE, SLOW], THRESHOLDS)
    assert verdict.outcome == "inconclusive"
    assert [check.held for check in verdict.checks] == [True, None, None, True]


def test_a_cut_off_change_counts_where_its_heads_are_there():
    assert co_occurrence([ONE, unfinished(TWO)], THRESHOLDS).outcome == "supported"


def test_what_failed_decides_beside_what_cannot_be_told():
    headless = replace(TWO, name="headless", heads_formed_tokens=None)
    verdict = co_occurrence([ONE, HALF, headless], THRESHOLDS)
    assert verdict.outcome == "not supported"
    assert failed(verdict) == [("headless",)]


def test_co_occurrence_is_inconclusive_where_the_onset_is_too_uncertain():
    early = replace(TWO, heads_formed_tokens=3e6 * 0.72)  # 0.33 e-folds before the band
    assert co_occurrence([ONE, early], THRESHOLDS).outcome == "not supported"
    uncertain = replace(early, intervals={"onset_tokens": (2.8e6, 3.2e6)})
    assert is_open(co_occurrence([ONE, uncertain], THRESHOLDS), "two", settled_by=WINDOWS)
    certain = replace(early, intervals={"onset_tokens": (2.95e6, 3.05e6)})
    assert co_occurrence([ONE, certain], THRESHOLDS).outcome == "not supported"


@pytest.mark.parametrize(
    ("smeared", "plain", "settled_by"),
    [
        (begun(model("s", 1, None, smeared=True)), ONE, MORE_TOKENS.format("s")),
        (SMEARED_ONE, begun(ONE), MORE_TOKENS.format("one")),
        (unfinished(replace(SMEARED_ONE, icl_score=-0.3)), ONE, MORE_TOKENS.format("smeared-one")),
        (replace(SMEARED_ONE, icl_gains={"one": (0.2, 0.4)}), ONE, WINDOWS),
    ],
)
def test_co_perturbation_is_inconclusive_in_one_layer(smeared, plain, settled_by):
    verdict = co_perturbation([smeared, plain], THRESHOLDS)
    assert is_open(verdict, smeared.name, plain.name, settled_by=settled_by)


def test_co_perturbation_is_inconclusive_where_onsets_cannot_be_told_apart():
    def with_onset(s: ModelSummary, low: float, high: float) -> ModelSummary:
        return replace(s, intervals={"onset_tokens": (low, high)})

    pair = [with_onset(SMEARED_TWO, 5e5, 3.1e6), with_onset(TWO, 2.9e6, 3.2e6)]
    verdict = co_perturbation([ONE, SMEARED_ONE, *pair], THRESHOLDS)
    assert is_open(verdict, "smeared-two", "two", settled_by=WINDOWS)
    late = [begun(model("s", 2, None, smeared=True)), TWO]
    verdict = co_perturbation([ONE, SMEARED_ONE, *late], THRESHOLDS)
    assert is_open(verdict, "s", "two", settled_by=MORE_TOKENS.format("s"))


@pytest.mark.parametrize(
    ("two", "settled_by"),
    [
        (replace(TWO, attribution=replace(REMOVED, induction=Removed(0.6, 0.4, 0.8))), WINDOWS),
        (
            unfinished(replace(TWO, attribution=LITTLE)),
            MORE_TOKENS.format("two"),
        ),
        (replace(TWO, attribution=replace(REMOVED, random=(Removed(0.4, 0.2, 0.6),))), WINDOWS),
    ],
)
def test_ablation_is_inconclusive_where_the_threshold_is_inside_the_interval(two, settled_by):
    assert is_open(ablation([ONE, two], THRESHOLDS), "two", "one", settled_by=settled_by)


@pytest.mark.parametrize("which", ["ablated_more", "knocked_out_more"])
def test_generality_is_inconclusive_where_a_difference_may_be_nothing(which):
    verdict = judged_with(FUZZY, replace(PATTERNS, **{which: NOTHING}))
    assert is_open(verdict, "two", settled_by="more prompts")


def test_mechanism_is_inconclusive_for_a_head_that_was_still_forming():
    weak = replace(TWO, circuits=(replace(CIRCUIT, ov_eigenvalue=0.2),))
    assert mechanism([ONE, weak], THRESHOLDS).outcome == "not supported"
    verdict = mechanism([ONE, unfinished(weak)], THRESHOLDS)
    assert is_open(verdict, "two", settled_by=MORE_TOKENS.format("two"))


@pytest.mark.parametrize(
    ("four", "settled_by"),
    [
        (unfinished(model("four", 4, 6e6)), MORE_TOKENS.format("four")),
        (replace(model("four", 4, 4e6), intervals={"onset_tokens": (3e6, 5e6)}), WINDOWS),
    ],
)
def test_extrapolation_is_inconclusive_where_a_step_is_uncertain(four, settled_by):
    three = replace(model("three", 3, 3.1e6), intervals={"onset_tokens": (3e6, 3.2e6)})
    verdict = extrapolation([ONE, TWO, three, four], THRESHOLDS)
    assert is_open(verdict, "three", "four", settled_by=settled_by)


def test_extrapolation_is_inconclusive_where_a_score_is_uncertain():
    three = replace(model("three", 3, 3.1e6), icl_gains={"four": (-0.3, -0.1)})
    four = replace(model("four", 4, 3.2e6), icl_score=-1.0)
    verdict = extrapolation([ONE, TWO, three, four], THRESHOLDS)
    assert is_open(verdict, "three", "four", settled_by=WINDOWS)


RULE = CONFIG.phase_change


@pytest.mark.parametrize("end", [1.5e6, 2.5e6, 3.2e6, 4e6, 5e6, 6e6, 10e6])
def test_a_run_cut_anywhere_is_never_held_against_the_argument(end):
    """One made training, stopped before, inside and after its change: the heads form with it."""
    tokens = np.geomspace(3e5, 10e6, 80)
    seen = tokens[tokens <= end]
    share = 1 / (1 + np.exp(-(np.log(seen) - np.log(3.6e6)) / 0.12))
    icl, heads = -0.05 - 0.45 * share, 0.02 + 0.6 * share
    change = find_phase_change(seen, icl, RULE)
    formed = heads[-1] >= THRESHOLDS.head_score
    cut = replace(
        model("cut", 2, None),
        change=change,
        relative_change=change,
        cut_off=is_cut_off(seen, icl, RULE),
        heads_formed_tokens=first_crossing(seen, heads, heads[-1] / 2) if formed else None,
    )
    outcomes = [co_occurrence([ONE, *zoo], THRESHOLDS).outcome for zoo in ([cut], [TWO, cut])]
    assert outcomes[1] in ("supported", "inconclusive")
    if end >= 6e6:
        assert outcomes == ["supported", "supported"]
    if 2.5e6 < end < 3.5e6:
        assert outcomes == ["inconclusive", "inconclusive"]


def test_a_flat_or_finished_curve_is_not_cut_off():
    tokens = np.geomspace(3e5, 10e6, 80)
    noise = np.random.default_rng(0).normal(0, 0.003, 80)
    assert not is_cut_off(tokens, noise, RULE)
    assert not is_cut_off(tokens, -0.05 * np.log(tokens) + noise, RULE)
    fallen = -0.4 / (1 + np.exp(-(np.log(tokens) - np.log(2e6)) / 0.1))
    assert find_phase_change(tokens, fallen, RULE)
    assert not is_cut_off(tokens, fallen + noise, RULE)
    assert not is_cut_off(tokens[:3], fallen[:3], RULE)


def test_a_change_by_one_rule_alone_leaves_co_occurrence_open():
    apart = replace(TWO, relative_change=None)
    verdict = co_occurrence([ONE, apart], THRESHOLDS)
    assert verdict.outcome == "inconclusive"
    (check,) = [check for check in verdict.checks if check.kind == "both onset rules agree"]
    assert check.models == (TWO.name,)
    assert check.settle
