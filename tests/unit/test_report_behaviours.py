"""What the report says of tasks beyond copying, on models whose doings are known."""

from dataclasses import replace
from types import SimpleNamespace

import polars as pl
import pytest
from made_behaviours import COPYING, GUESSES, SORTS, made_behaviours
from made_summary import made_results, model

from induction.report import behaviours
from induction.report.results import Results
from induction.report.sentences import sentence
from induction.study.behaviours import Cost, TaskResult

UNNEEDED = Cost(0.0, -0.1, 0.1)
BY_OTHERS = replace(SORTS, variant="other labels", ablated_more=UNNEEDED)


def made(**doings: list[TaskResult]) -> Results:
    """Models of these doings; `plain` has no induction heads."""
    found = [
        model(name, onset=None if name == "plain" else 3e6, behaviours=each)
        for name, each in doings.items()
    ]
    nothing = pl.DataFrame(
        schema=["behaviour", "variant", "condition", "step", "accuracy", "chance"]
    )
    tables = {name: made_behaviours(*each) for name, each in doings.items()}
    tables = {name: replace(own, behaviours=nothing) for name, own in tables.items()}
    return made_results(*found, behaviours=tables)


def test_cases_above_chance_are_counted_by_models_tasks_and_induction_heads():
    found = behaviours.above_chance(made(one=[SORTS, BY_OTHERS], two=[SORTS, GUESSES]), "abstract")
    tasks = ["few-shot: natural, 8 shots", "few-shot: other labels"]
    assert found == {"models": 2, "tasks": tasks, "cases": 3, "by_heads": 2}


@pytest.mark.parametrize(
    ("doings", "told"),
    [
        ([GUESSES], "By the rule, none does tasks for which no repeated prefix is"),
        ([SORTS], "1 of 2 models is above chance in tasks for which no repeated prefix is enough"),
        ([SORTS], "8 shots). There the loss of the answers rises more without the"),
        ([BY_OTHERS], "other labels). There the loss of the answers does not rise more without"),
        ([SORTS, BY_OTHERS], "In 1 of these 2 cases the loss of the answers rises more without"),
        ([GUESSES], "still rises more without these heads than without others in 1 of 1 cases"),
    ],
)
def test_what_models_do_is_told_by_how_many_cases_there_are(doings, told):
    said = behaviours.can_and_cannot(made(one=doings, plain=[COPYING]))
    assert said.startswith("1 of 2 models have induction heads. By the rule, none does")
    assert told in said
    assert ("Where models" in said) == (GUESSES in doings)


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
    found = behaviours.first_copies(made_results(behaviours=own))
    assert found == [(0.5, 0.1), (0.6, 0.1)]
    nothing = {"models": 0, "tasks": [], "cases": 0, "by_heads": 0}
    told = sentence(
        *("behaviours", "can_and_cannot"),
        **{"with_heads": 0, "models": 2, "first_copies": found, "at_chance": 0, "dearer": 0},
        **{"loose": nothing, "abstract": nothing},
    )
    assert "50\u00a0% to 60\u00a0% of places (chance: 10\u00a0%)" in told


def test_tasks_that_could_not_be_asked_are_told_with_their_reason_and_models():
    def told(*without: str) -> str:
        found = made(one=[SORTS], two=[SORTS])
        for name in without:
            tasks = found.behaviours[name].tasks.with_columns(why_not=pl.lit("too long"))
            found.behaviours[name] = replace(found.behaviours[name], tasks=tasks)
        return behaviours.not_asked(found)

    assert told() == "Every task fits the vocabulary and the context of every model."
    assert told("two") == "Not asked: few-shot: natural, 8 shots (too long; `two`)."
    assert told("one", "two") == "Not asked: few-shot: natural, 8 shots (too long; all models)."


def test_of_a_zoo_with_many_seeds_tables_of_single_models_have_the_first_of_each_kind():
    found = made(**{f"{kind}-s{seed}": [SORTS, COPYING] for kind in "ab" for seed in range(10)})
    entries = {
        name: m.entry.model_copy(update={"seed": int(name[-1]), "attn_only": name[0] == "a"})
        for name, m in found.models.items()
    }
    vars(found)["config"] = SimpleNamespace(studied=entries)
    header = behaviours.heads(found).splitlines()[0]
    assert [cell.strip() for cell in header.split("|")[3:-1]] == ["`a-s0`", "`b-s0`"]
