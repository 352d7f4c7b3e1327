"""What the report shows of prompts and of where heads look, on results whose answer is known."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from made_behaviours import GUESSES, LOOKS, PROMPT, SORTS, made_behaviours
from made_summary import CONFIG, made_results, model

from induction.report import behaviours, findings
from induction.report.figures.axes import courses, trained_range
from induction.report.figures.head_map import heads_of_map, mapped_model
from induction.report.figures.prompt import attention_on_prompt, on_prompt
from induction.report.prompts import chosen_prompt, prompt_sentence, prompts
from induction.report.results import Results
from induction.rules.head_kinds import HeadKinds
from induction.study.over_seeds import OverSeeds
from induction.study.verdicts import Check, Verdict

HEADS = {
    "layer": [0, 0, 1, 1],
    "head": [0, 1, 0, 1],
    "prefix_matching": [0.0, 0.1, 0.2, 0.9],
    "previous_token": [0.9, 0.0, 0.1, 0.2],
    "ov_eigenvalue": [0.5, -0.5, 0.0, 1.0],
}


def made(**doings: Any) -> Results:
    """Models by name with what they do; all have the same four heads."""
    induction = HeadKinds(((1, 1),), ())
    models = [
        replace(model(name, behaviours=each), kinds=induction) for name, each in doings.items()
    ]
    return made_results(
        *models,
        config=SimpleNamespace(verdicts=CONFIG.verdicts, studied=dict.fromkeys(doings)),
        behaviours={name: made_behaviours(*each) for name, each in doings.items()},
        curves={
            name: SimpleNamespace(last_heads=pl.DataFrame(HEADS), tokens=np.array([0, 8]))
            for name in doings
        },
    )


SURER = replace(SORTS, looks=replace(LOOKS, low=0.9))
WITHOUT = replace(SORTS, looks=None)


@pytest.mark.parametrize(
    ("zoo", "model", "task"),
    [
        ({"one": [GUESSES], "two": [SORTS]}, "two", "few-shot: natural, 8 shots"),
        ({"one": [SORTS], "two": [SURER]}, "two", "few-shot: natural, 8 shots"),
        ({"one": [GUESSES, WITHOUT], "two": [WITHOUT]}, "one", "abstract patterns: categories"),
    ],
)
def test_a_prompt_is_chosen_by_what_a_model_does_then_by_how_surely_it_looks(zoo, model, task):
    chosen = chosen_prompt(made(**zoo))
    assert chosen
    assert (chosen.model, chosen.task) == (model, task)


def test_without_induction_heads_there_is_no_prompt_and_that_is_said():
    found = made(one=[WITHOUT])
    assert (prompts(found), chosen_prompt(found)) == ([], None)
    assert prompt_sentence(found) == "No model has induction heads to look with."
    assert attention_on_prompt(found).axes[0].texts[0].get_text() == "no model has induction heads"
    assert behaviours.looking(found) == "No model has induction heads."


def test_the_prompt_is_told_in_numbers():
    sentence = prompt_sentence(made(one=[SORTS]))
    assert "`one`, the head 1.1: from the last token 20.0 % of its attention" in sentence
    assert sentence.endswith("5.0 % to the one wrong place, and 50.0 % to the first token.")


def test_the_figure_of_the_prompt_frames_right_and_wrong_places():
    figure = attention_on_prompt(made(one=[SORTS]))
    axes = figure.axes[0]
    words = [text.get_text() for text in axes.texts]
    assert words == [*(text.replace("\n", "⏎") for text, _, _ in PROMPT), "[ animal]"]
    assert "head 1.1 of one" in axes.get_title(loc="left")
    framed = [patch for patch in axes.patches if not patch.get_fill()]
    assert [patch.get_linestyle() for patch in framed] == ["-", (0, (2, 1))]
    table = on_prompt(made(one=[SORTS]))
    assert table["place"].to_list() == [place for _, _, place in PROMPT]


def test_the_map_is_of_the_model_with_the_most_heads():
    found = made(one=[SORTS], two=[GUESSES])
    assert mapped_model(found) == "one"
    difference = heads_of_map(found)["right_over_wrong"].to_list()
    assert difference == pytest.approx([0.0, 0.1, 0.0, 0.1])
    other = made(one=[GUESSES], two=[SORTS])
    assert heads_of_map(other)["right_over_wrong"].null_count() == 4


def test_where_heads_look_is_told_of_models_that_do_a_task_or_else_of_the_surest():
    low = replace(GUESSES, looks=replace(LOOKS, low=0.1))
    lines = behaviours.looking(made(one=[SORTS, GUESSES], two=[SURER, low])).splitlines()[2:]
    assert [line.split(" | ")[1:3] for line in lines] == [
        ["`one`", "yes"],
        ["`two`", "yes"],
        ["`one`", "no"],
    ]
    assert "0.70 (0.60 to 0.80) | 0.10 to 0.20 | 0.05 to 0.15 | 1.1: 0.90" in lines[0]


def test_a_prior_that_wins_over_the_context_is_told_as_that():
    flipped = replace(SORTS, accuracy=0.1, accuracy_low=0.05, accuracy_high=0.2)
    sentence = behaviours.prior_sentence(made(one=[flipped], two=[SORTS]))
    assert "`one` in few-shot: natural, 8 shots (10\u00a0% right, chance 50\u00a0%)" in sentence
    assert "two" not in sentence
    unaided = replace(flipped, labels_help=None)
    assert behaviours.prior_sentence(made(one=[unaided])) == ""


def test_a_model_counts_for_generality_where_all_its_checks_held():
    outcomes = (("one", True), ("one", True), ("two", True), ("two", None))
    checks = tuple(
        Check("behaviours need induction heads", "", (name,), {}, held) for name, held in outcomes
    )
    verdict = Verdict(4, "", "plausibility", {}, "inconclusive", checks)
    zoo = dict.fromkeys(("one", "two"), next(iter(CONFIG.models.values())))
    found = findings.verdicts(
        made_results(
            model("one"),
            model("two"),
            verdicts=[verdict],
            over_seeds=OverSeeds([], []),
            config=SimpleNamespace(studied=zoo),
        )
    )
    assert "in 1 of 2 models that do something abstract" in found
    assert "to the right places; in 1 it cannot be told |" in found


def test_training_axes_leave_out_what_is_known_at_one_moment():
    moments = {"ours": [0, 10, 20], "theirs": [2_000_000_000_000], "start": [0, 30]}
    curves = {name: SimpleNamespace(tokens=np.array(each)) for name, each in moments.items()}
    found = made_results(curves=curves)
    assert courses(found) == ["ours"]
    assert trained_range(found) == (10, 20)
    only = made_results(curves={"theirs": curves["theirs"]})
    assert courses(only) == ["theirs"]
