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
    ablation,
    co_occurrence,
    co_perturbation,
    extrapolation,
    generality,
    judge,
    mechanism,
)

THRESHOLDS, RULE = CONFIG.verdicts, CONFIG.phase_change


def begun(s: ModelSummary) -> ModelSummary:
    """Training ended before its change was large enough to count."""
    return replace(s, cut_off=True)


def unfinished(s: ModelSummary) -> ModelSummary:
    assert s.change is not None
    return replace(s, cut_off=True, change=replace(s.change, complete=False))


def with_onset(s: ModelSummary, low: float, high: float) -> ModelSummary:
    return replace(s, intervals={"onset_tokens": (low, high)})


def with_circuit(**changes: Any) -> ModelSummary:
    return replace(TWO, circuits=(replace(CIRCUIT, **changes),))


def losing(**shares: Any) -> ModelSummary:
    return replace(TWO, attribution=replace(REMOVED, **shares))


def able(*behaviours: TaskResult) -> list[ModelSummary]:
    """Beside copying, the model of two layers does this."""
    return [ONE, replace(TWO, behaviours=(COPYING, *behaviours))]


def looking(result: TaskResult, **changes: Any) -> TaskResult:
    assert result.looks
    return replace(result, looks=replace(result.looks, **changes))


def series(four: ModelSummary, **changes: Any) -> list[ModelSummary]:
    """One to four layers; the changes are those of the model of three."""
    return [ONE, TWO, replace(model("three", 3, 3.1e6), **changes), four]


ONE, TWO = model("one", 1, None), model("two", 2, 3e6)
SMEARED_ONE = model("smeared-one", 1, 8e5, smeared=True)
SMEARED_TWO = model("smeared-two", 2, 6e5, smeared=True)
ONES, ZOO = [ONE, SMEARED_ONE], [ONE, TWO, SMEARED_ONE, SMEARED_TWO]
WEAK = replace(SMEARED_ONE, icl_score=-0.3)
MLP = replace(ONE, name="mlp", entry=ONE.entry.model_copy(update={"attn_only": False}))
SLOW = begun(model("slow", 2, None))
HALF = replace(unfinished(model("half", 2, 4.7e6)), heads_formed_tokens=None)
EARLY = replace(TWO, heads_formed_tokens=3e6 * 0.72)  # 0.33 e-folds before the band
HEADLESS = replace(TWO, name="headless", heads_formed_tokens=None)

LITTLE = Removed(0.3, 0.2, 0.4)
FUZZY = replace(COPYING, behaviour="fuzzy copying", variant="case", kind="loose")
PATTERNS = replace(COPYING, behaviour="abstract patterns", variant="categories", kind="abstract")
TRANSLATION = replace(PATTERNS, behaviour="translation", variant="phrases")
KNOWN_ONSET: Any = {"intervals": {"onset_tokens": (3e6, 3.2e6)}}
NEAR_CHANCE = 0.1 + THRESHOLDS.above_chance - 0.01
LESS, NOTHING = Cost(-0.2, -0.3, -0.1), Cost(0.1, -0.1, 0.3)


def by_rule(table: dict[Any, list[tuple]]) -> list[tuple]:
    return [(rule, *row) for rule, rows in table.items() for row in rows]


@pytest.mark.parametrize(
    ("rule", "zoo"),
    [
        *((rule, ZOO) for rule in (co_occurrence, co_perturbation, ablation, mechanism)),
        # A deep model with neither change nor heads does not speak against it.
        (co_occurrence, [*ZOO, model("slow", 2, None)]),
        (co_occurrence, [ONE, unfinished(TWO)]),  # cut off, but its heads are there
        # How a loose copy is looked for does not decide.
        (generality, able(looking(FUZZY, low=0.2, high=0.4), PATTERNS)),
        (extrapolation, series(replace(model("four", 4, 3.1e6), icl_score=-0.75))),
    ],
)
def test_an_argument_is_supported_where_all_is_as_the_paper_has_it(rule, zoo):
    assert rule(zoo, THRESHOLDS).outcome == "supported"


FAILING = {
    co_occurrence: [
        ([model("one", 1, 2e6), TWO], ("one",)),
        ([replace(ONE, heads_formed_tokens=1e6), TWO], ("one",)),
        ([ONE, model("two", 2, None)], ("two",)),
        ([ONE, TWO, replace(TWO, name="late", heads_formed_tokens=7.9e6)], ("late",)),
        ([ONE, TWO, replace(TWO, name="early", heads_formed_tokens=1e6)], ("early",)),
        ([ONE, TWO, HEADLESS], ("headless",)),
        ([ONE, HALF, HEADLESS], ("headless",)),  # what failed decides beside what is open
        ([ONE, TWO, replace(TWO, name="unmoved", change=None)], ("unmoved",)),
        ([ONE, EARLY], ("two",)),
        ([ONE, with_onset(EARLY, 2.95e6, 3.05e6)], ("two",)),
    ],
    co_perturbation: [
        ([ONE, model("s", 1, None, smeared=True)], ("s", "one")),
        ([model("one", 1, 3e6), SMEARED_ONE], ("smeared-one", "one")),
        ([ONE, WEAK], ("smeared-one", "one")),
        ([*ZOO, model("quick", 2, 5e5)], ("smeared-two", "quick")),
    ],
    ablation: [
        ([ONE, losing(induction=LITTLE)], ("two", "one")),
        ([ONE, losing(random=(Removed(0.9, 0.8, 1.0), LITTLE))], ("two", "one")),
    ],
    generality: [
        (able(PATTERNS), ("two",)),  # one behaviour is too few
        (able(PATTERNS, replace(PATTERNS, variant="another")), ("two",)),  # two variants of it too
        (able(FUZZY, replace(PATTERNS, ablated_more=LESS)), ("two",)),
        (able(FUZZY, replace(PATTERNS, knocked_out_more=LESS)), ("two",)),
        (able(FUZZY, replace(PATTERNS, ablated_more=None, knocked_out_more=None)), ("two",)),
        (able(PATTERNS, replace(TRANSLATION, accuracy_low=0.1, ablated_more=LESS)), ("two",)),
        (able(FUZZY, looking(PATTERNS, low=0.3, share=0.4, high=0.5)), ("two",)),
        (able(FUZZY, looking(PATTERNS, over_random=(-0.2, -0.1))), ("two",)),
        (able(FUZZY, looking(PATTERNS, over_shuffled=(-0.2, 0.0))), ("two",)),
        (able(looking(FUZZY, low=0.3), looking(PATTERNS, over_shuffled=(-0.2, 0.0))), ("two",)),
    ],
    mechanism: [
        ([ONE, with_circuit(ov_eigenvalue=0.2)], ("two",)),
        ([ONE, with_circuit(qk_eigenvalue=0.2)], ("two",)),
        ([ONE, with_circuit(partner_previous_token=0.1)], ("two",)),
        ([ONE, with_circuit(q=0.4)], ("two",)),
        ([ONE, with_circuit(v=0.4)], ("two",)),
        ([ONE, replace(TWO, circuits=(Circuit((1, 0), 0.9, *[None] * 6),))], ("two",)),
    ],
    extrapolation: [
        (series(replace(model("four", 4, 6e6), icl_score=-0.8)), ("three", "four")),
        (series(replace(model("four", 4, 3e6), icl_score=-1.4)), ("three", "four")),
    ],
}


@pytest.mark.parametrize(("rule", "zoo", "culprit"), by_rule(FAILING))
def test_an_argument_fails_where_its_rule_says(rule, zoo, culprit):
    verdict = rule(zoo, THRESHOLDS)
    assert verdict.outcome == "not supported"
    assert [check.models for check in verdict.checks if check.held is False] == [culprit]


@pytest.mark.parametrize("zoo", [[TWO], [ONE], [SMEARED_ONE, SMEARED_TWO]])
def test_co_occurrence_needs_a_control_and_a_deeper_model(zoo):
    assert co_occurrence(zoo, THRESHOLDS).outcome == "not tested"


@pytest.mark.parametrize(
    ("rule", "zoo"),
    [
        (co_perturbation, [SMEARED_ONE, MLP, TWO]),  # it compares one depth and kind
        (ablation, [ONE, replace(TWO, attribution=None)]),  # no induction heads
        (extrapolation, ZOO),  # a short series
        (generality, [replace(ONE, behaviours=(FUZZY, PATTERNS)), TWO]),  # no induction heads
        (generality, able()),
        (generality, able(FUZZY)),
        (generality, able(FUZZY, replace(PATTERNS, accuracy_low=NEAR_CHANCE))),
        (generality, able(FUZZY, replace(PATTERNS, kind="control"))),
        (generality, able(FUZZY, replace(PATTERNS, labels_help=NOTHING))),  # not by the labels
    ],
)
def test_an_argument_is_not_tested_without_what_its_rule_asks_about(rule, zoo):
    verdict = rule(zoo, THRESHOLDS)
    assert (verdict.outcome, verdict.checks) == ("not tested", ())


def test_one_model_without_a_history_is_not_asked_whether_it_changed():
    heads = replace(model("alone", 2, None), heads_formed_tokens=1e9, max_prefix_matching=0.9)
    assert co_occurrence([*ZOO, heads], THRESHOLDS).outcome == "not supported"
    verdict = co_occurrence([*ZOO, replace(heads, traced=False)], THRESHOLDS)
    assert verdict.outcome == "supported"
    assert not any("alone" in check.models for check in verdict.checks)


def test_co_perturbation_compares_with_every_seed_of_the_same_depth_and_kind():
    seeds = [ONE, replace(ONE, name="seed"), SMEARED_ONE]
    assert [c.models[1] for c in co_perturbation(seeds, THRESHOLDS).checks] == ["one", "seed"]


def test_every_judged_argument_says_what_evidence_it_has():
    verdicts = judge(ZOO, THRESHOLDS)
    assert [v.argument for v in verdicts] == [1, 2, 3, 4, 5, 6]
    assert [v.evidence for v in verdicts] == [
        *("correlational", "interventional", "causal"),
        *("plausibility", "correlational", "analogy"),
    ]


def test_a_verdict_keeps_the_thresholds_that_its_rule_used():
    kept = {name: value for v in judge(ZOO, THRESHOLDS) for name, value in v.thresholds.items()}
    asked = THRESHOLDS.model_dump().items()  # those of `steered` are of a question of its own
    assert kept == {name: value for name, value in asked if not name.startswith("steered")}


@pytest.mark.parametrize("behaviours", [(FUZZY, PATTERNS), (PATTERNS, TRANSLATION)])
def test_generality_is_supported_when_induction_heads_do_the_abstract_work(behaviours):
    verdict = generality(able(*behaviours), THRESHOLDS)
    assert verdict.outcome == "supported"
    assert verdict.checks[0].numbers == {"behaviours_done": 2.0, "behaviours_served": 2.0}
    assert verdict.checks[1].numbers == {
        "right_share": 0.8,
        "right_share_low": 0.7,
        "over_random_low": 0.1,
        "over_shuffled_low": 0.2,
    }


def test_a_prior_that_wins_over_the_labels_is_told_from_not_reading_them():
    flipped = replace(PATTERNS, accuracy_low=0.0, accuracy_high=0.02)
    assert flipped.prior_wins(THRESHOLDS)
    assert not replace(flipped, labels_help=None).prior_wins(THRESHOLDS)
    assert not replace(flipped, labels_help=Cost(0.0, -0.1, 0.1)).prior_wins(THRESHOLDS)
    assert not PATTERNS.prior_wins(THRESHOLDS)


# Inconclusive: training ended inside a change, or an interval has the threshold inside.


def more_tokens(name: str) -> str:
    return f"more training tokens for `{name}`"


WINDOWS, PROMPTS = "more windows", "more prompts"
OPEN = {
    co_occurrence: [
        ([ONE, TWO, HALF], ("half",), more_tokens("half")),  # its heads were half formed at the end
        ([ONE, TWO, SLOW], ("slow",), more_tokens("slow")),
        ([ONE, TWO, replace(SLOW, heads_formed_tokens=7e6)], ("slow",), more_tokens("slow")),
        ([begun(ONE), TWO], ("one",), more_tokens("one")),
        ([ONE, with_onset(EARLY, 2.8e6, 3.2e6)], ("two",), WINDOWS),
    ],
    co_perturbation: [
        ([begun(model("s", 1, None, smeared=True)), ONE], ("s", "one"), more_tokens("s")),
        ([SMEARED_ONE, begun(ONE)], ("smeared-one", "one"), more_tokens("one")),
        ([unfinished(WEAK), ONE], ("smeared-one", "one"), more_tokens("smeared-one")),
        (
            [replace(SMEARED_ONE, icl_gains={"one": (0.2, 0.4)}), ONE],
            ("smeared-one", "one"),
            WINDOWS,
        ),
        (
            [*ONES, with_onset(SMEARED_TWO, 5e5, 3.1e6), with_onset(TWO, 2.9e6, 3.2e6)],
            ("smeared-two", "two"),
            WINDOWS,
        ),
        ([*ONES, begun(model("s", 2, None, smeared=True)), TWO], ("s", "two"), more_tokens("s")),
    ],
    ablation: [
        ([ONE, losing(induction=Removed(0.6, 0.4, 0.8))], ("two", "one"), WINDOWS),
        ([ONE, losing(random=(Removed(0.4, 0.2, 0.6),))], ("two", "one"), WINDOWS),
        ([ONE, unfinished(losing(induction=LITTLE))], ("two", "one"), more_tokens("two")),
    ],
    generality: [
        (able(FUZZY, looking(PATTERNS, over_random=(-0.1, 0.3))), ("two",), PROMPTS),
        (able(FUZZY, looking(PATTERNS, over_shuffled=(-0.1, 0.3))), ("two",), PROMPTS),
        (able(FUZZY, looking(PATTERNS, low=0.4)), ("two",), PROMPTS),
        (able(FUZZY, replace(PATTERNS, ablated_more=NOTHING)), ("two",), PROMPTS),
        (able(FUZZY, replace(PATTERNS, knocked_out_more=NOTHING)), ("two",), PROMPTS),
    ],
    mechanism: [
        ([ONE, unfinished(with_circuit(ov_eigenvalue=0.2))], ("two",), more_tokens("two")),
    ],
    extrapolation: [
        (
            series(unfinished(model("four", 4, 6e6)), **KNOWN_ONSET),
            ("three", "four"),
            more_tokens("four"),
        ),
        (
            series(with_onset(model("four", 4, 4e6), 3e6, 5e6), **KNOWN_ONSET),
            ("three", "four"),
            WINDOWS,
        ),
        (
            series(
                replace(model("four", 4, 3.2e6), icl_score=-1.0), icl_gains={"four": (-0.3, -0.1)}
            ),
            ("three", "four"),
            WINDOWS,
        ),
    ],
}


@pytest.mark.parametrize(("rule", "zoo", "models", "settled_by"), by_rule(OPEN))
def test_an_argument_is_open_for_one_check_which_says_what_settles_it(
    rule, zoo, models, settled_by
):
    verdict = rule(zoo, THRESHOLDS)
    assert verdict.outcome == "inconclusive"
    (unsettled,) = [check for check in verdict.checks if check.held is None]
    assert unsettled.models == models
    assert settled_by in unsettled.settle
    assert all(check.settle == "" for check in verdict.checks if check.held is not None)


def test_co_occurrence_is_inconclusive_when_the_only_change_has_just_begun():
    verdict = co_occurrence([ONE, SLOW], THRESHOLDS)
    assert verdict.outcome == "inconclusive"
    assert [check.held for check in verdict.checks] == [True, None, None, True]


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
