"""What the report says first: the sentences under its title, and one for each argument."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from made_summary import CONFIG, made_results, model

from induction.report import findings
from induction.study.over_seeds import OverSeeds, SeedVerdict
from induction.study.over_seeds.verdict import Measure, SideCondition
from induction.study.verdicts import Check, Verdict
from induction.study.verdicts.verdict import Kind, Outcome

CHANGED, FLAT = model("two", 2, 3e6), model("one", 1)


def judged(argument: int, *checks: Check, outcome: Outcome = "supported") -> Verdict:
    return Verdict(argument, "", "causal", {}, outcome, checks)


def check(kind: Kind, *models: str, held: bool | None = True, **numbers: float | None) -> Check:
    return Check(kind, "", models, numbers, held)


@pytest.mark.parametrize(
    ("models", "told"),
    [
        ([FLAT], "In none of 1 models did in-context learning change abruptly. Of"),
        ([CHANGED], "In all 1 models in-context learning changed abruptly. Of"),
        ([CHANGED, FLAT], "In 1 of 2 models in-context learning changed abruptly, in `one` it"),
    ],
)
def test_it_is_told_in_which_models_learning_changed(models, told):
    found = made_results(*models, verdicts=[judged(1)])
    assert findings.outcome_sentences(found).startswith(told)


def test_one_model_without_a_history_is_said_to_tell_nothing_of_a_change():
    alone = replace(FLAT, name="c", traced=False)
    told = findings.outcome_sentences(made_results(CHANGED, FLAT, alone, verdicts=[judged(1)]))
    assert told.startswith(
        "In 1 of 2 models in-context learning changed abruptly, in `one` it did not. In `c` it "
        "cannot be told: there are too few snapshots."
    )


def test_arguments_are_counted_by_their_outcome():
    verdicts = [judged(1), judged(3), judged(2, outcome="not tested")]
    told = findings.outcome_sentences(made_results(FLAT, verdicts=verdicts))
    assert told.endswith("3 arguments, 2 are **supported** (1, 3); 1 is **not tested** (2).")


@pytest.mark.parametrize(
    ("outcome", "held", "grounds"),
    [
        ("not tested", [], "The zoo lacks the models that this rule needs."),
        ("supported", [True, True], "All 2 checks held."),
        ("not supported", [True, False], "1 of 2 checks held. Failed: asked of 1 (`m`)."),
        (
            "inconclusive",
            [None, None],
            "0 of 2 checks held. Open: asked of 0 (`m`); asked of 1 (`m`). What would settle it: "
            "more tokens.",
        ),
    ],
)
def test_a_verdict_is_told_with_its_grounds(outcome, held, grounds):
    checks = [
        Check("other heads do not", f"asked of {number}", ("m",), {}, each, "more tokens")
        for number, each in enumerate(held)
    ]
    found = made_results(verdicts=[judged(1, *checks, outcome=outcome)])
    assert findings.verdict(found, 1) == f"**Verdict: {outcome}.** {grounds}"


def values(verdict: Verdict, **parts: Any) -> dict[str, object]:
    turns = SimpleNamespace(explained=SimpleNamespace(angles={}))
    found = made_results(FLAT, CHANGED, **{"loss_space": turns, **parts})
    return dict(findings._VALUES[verdict.argument](found, verdict))


def test_co_occurrence_counts_what_came_together_and_names_where_the_rules_part():
    found = values(
        judged(
            1,
            check("change and heads together", "two", lag=0.1),
            check("change and heads together", "deep", held=False, lag=0.9),
            check("no change in one layer", "one"),
            check("both onset rules agree", "one", held=None),
            check("both onset rules agree", "two"),
        )
    )
    assert (found["inside"], found["together"]) == (1, 2)
    assert (found["neither"], found["alone"]) == (1, 1)
    assert found["apart"] == ["one"]


def test_onsets_are_grouped_by_kind_over_its_seeds():
    kind: Kind = "change earlier with smeared keys"
    plain, smeared = CONFIG.models["attn-2l"], CONFIG.models["smear-2l"]
    zoo = SimpleNamespace(
        studied={
            **{f"smear-s{n}": smeared.model_copy(update={"seed": n}) for n in range(2)},
            **{f"plain-s{n}": plain.model_copy(update={"seed": n}) for n in range(3)},
        }
    )
    plain_onsets = {"plain-s0": 2e6, "plain-s1": None, "plain-s2": 3e6}
    checks = [
        check(kind, name, other, onset_tokens=own, plain_onset_tokens=onset)
        for name, own in (("smear-s0", 1e6), ("smear-s1", 1.5e6))
        for other, onset in plain_onsets.items()
    ]
    found = values(judged(2, *checks), config=zoo)
    assert found == {"onsets": {"smear": ([1e6, 1.5e6], {"plain": [2e6, None, 3e6]})}}


def test_what_is_removed_is_told_apart_by_the_heads_that_are_taken_out():
    taken = [check("induction heads carry the gain", "two", removed_share=0.9)]
    assert values(judged(3, *taken)) == {"removed": [0.9], "by_others": []}
    taken.append(check("other heads do not", "two", removed_share=0.1))
    assert values(judged(3, *taken)) == {"removed": [0.9], "by_others": [0.1]}


def test_depths_that_change_make_the_series():
    zoo = SimpleNamespace(
        studied={"one": CONFIG.models["attn-1l"], "two": CONFIG.models["attn-2l"]},
        verdicts=CONFIG.verdicts,
    )
    steps = [
        check("neighbouring depths are close", "two", "deep", onset_step=-0.07, icl_step=-0.02)
    ]
    found = values(judged(6, *steps), config=zoo)
    needed = CONFIG.verdicts.min_depths
    assert found == {"depths": 1, "onset_steps": [0.07], "steps": [0.02], "needed": needed}


@pytest.mark.parametrize(
    ("argument", "values", "told"),
    [
        (2, {"onsets": {}}, "no smeared models to compare"),
        (
            2,
            {"onsets": {"s": ([1e6, 2e6], {"a": [None], "b": [2e6]}), "t": ([None, 3e6], {})}},
            "onsets: `s` 1M to 2M against `a` none, `b` 2M; `t` 3M, none in 1 of 2 against",
        ),
        (3, {"removed": [], "by_others": []}, "no plain model has induction heads and a control"),
        (
            3,
            {"removed": [0.9, 0.7], "by_others": [0.1, 0.2]},
            "without induction heads, 70\u00a0% to 90\u00a0% of what the plain models gained is "
            "gone; without as many others, at most 20\u00a0% on average",
        ),
        (
            6,
            {"depths": 1, "onset_steps": [], "steps": [], "needed": 3},
            "1 depth changes (3 are needed)",
        ),
        (
            6,
            {"depths": 3, "onset_steps": [0.07, 0.01], "steps": [0.01, 0.02], "needed": 3},
            "3 depths change (3 are needed), the onsets of neighbours at most 0.07 e-folds apart "
            "and their scores 0.02 nats",
        ),
    ],
)
def test_cells_of_the_table_say_what_their_values_are(argument, values, told):
    assert findings.sentence("findings", f"argument_{argument}", **values) == told


def over_seeds(*verdicts: SeedVerdict) -> str:
    return findings.over_seeds_sentence(made_results(over_seeds=OverSeeds(list(verdicts), [])))


def test_without_a_test_over_seeds_nothing_is_told_of_one():
    assert over_seeds(SeedVerdict(1, "", None)) == ""


def test_what_the_tests_over_seeds_found_is_told_with_its_grounds():
    good = [SeedVerdict(n, "", (5, 5), corrected=0.01, outcome="supported") for n in (2, 6)]
    lead = "Tested over seeds, by rules written down before these models were trained:"
    assert over_seeds(*good) == f"{lead} arguments 2 and 6 are **supported**."
    bad = SeedVerdict(
        *(3, "", (5, 5)),
        measures=(Measure("share", 0.2, 0.1, 0.3, "seeds", beyond=True),),
        conditions=(
            SideCondition("all above?", "2 of 4", None),
            SideCondition("other?", "yes", True),
        ),
        corrected=0.2,
        outcome="not supported",
    )
    remark = "By the absolute rule it would be supported."
    unsure = SeedVerdict(1, "", (5, 5), corrected=0.01, outcome="inconclusive", shown=(remark,))
    assert over_seeds(unsure, good[0], bad) == (
        f"{lead} argument 2 is **supported**; argument 1 is **inconclusive** ({remark}); argument "
        "3 is **not supported** (all above?: 2 of 4; share: 0.20, 0.10 to 0.30; corrected p 0.20)."
    )
