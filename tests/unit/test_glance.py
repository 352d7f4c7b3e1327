"""What the page of two runs says of their differences, where these are none, few or many."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from induction.compare import glance
from induction.compare.comparison import Comparison
from induction.report.sentences import sentence
from induction.runs.metrics import Mark, Row
from induction.runs.parameters import ABSENT, Difference


def made(**parts: Any) -> Comparison:
    """A comparison in which nothing differs but what is given."""
    run = SimpleNamespace(stages={"train": {}}, curves=0, commit="c", label="run", exact=True)
    empty = (
        *("only_a", "only_b", "parameters", "changed_models", "reruns", "rows", "verdicts"),
        *("changed_verdicts", "other_thresholds", "spreads", "facts", "sources", "packages"),
        *("drawn_models", "kept_stages"),
    )
    nothing = {name: [] for name in empty}
    runs = {"models": ["one", "two"], "a": run, "b": run, "judged": True, "identical": False}
    return cast(Comparison, SimpleNamespace(**{**nothing, **runs, **parts}))


def told(kind: str, **parts: Any) -> str:
    return glance.at_a_glance(made(**parts))[kind]


def lead(name: str, **parts: Any) -> str:
    return sentence("compare", name, comparison=made(**parts))


def row(mark: Mark, model: str = "one", a: float | None = 1.0, b: float | None = 2.0) -> Row:
    return Row(model, "icl_score", a, b, None, None, mark)


def test_parameters_are_named_where_they_are_few_and_else_by_section():
    found = [Difference("a.b", 1, 2), Difference("a.c", ABSENT, "x")]
    assert told("Parameters") == "None differs."
    assert told("Parameters", only_a=["one"]) == "No other one."
    assert told("Parameters", parameters=found[:1]) == "1 differs: `a.b` (1 → 2)."
    both = told("Parameters", parameters=found)
    assert both == "2 differ: `a.b` (1 → 2) and `a.c` (not there → x)."
    many = told("Parameters", parameters=[*found, *found, Difference("d", 1, 2)])
    assert many == "5 differ, in `a` and `d`."


def test_models_are_those_of_both_runs():
    assert told("Models") == "The results of all 2 models in both are the same."
    every = told("Models", changed_models=["one", "two"])
    assert every == "The results of all models differ."
    alone = told(
        "Models", only_b=["two"], changed_models=["one", "two"], models=["one", "two", "z"]
    )
    assert alone == "Only in B: `two`. The results of `one` differ."


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([row("same"), row("one run")], "All that both runs have are the same."),
        ([row("within")], "None differs beyond its interval."),
        (
            [row("no interval")],
            "its interval. No metric that differs has an interval in both runs.",
        ),
        ([row("beyond")], "**1 differs beyond its interval**: ICL score (nats) of `one` (1.000 →"),
        (
            [*[row("beyond")] * 2, row("appears"), row("vanishes")],
            "**2 differ beyond their intervals, 1 appears in B and 1 vanishes in B**: ICL score",
        ),
        ([row("beyond")] * 9, "**9 differ beyond their intervals**, of `one`; see @tbl-metrics."),
        ([row("beyond"), row("beyond", "two")] * 5, "of all 2 models; see @tbl-metrics."),
    ],
)
def test_metrics_are_listed_where_they_are_few_and_else_counted(rows, said):
    assert said in told("Metrics", rows=rows)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([0.5], " 1 of 1 changes is greater than the distance between seeds."),
        ([0.5, 0.6], " All 2 changes are greater than the distance between seeds."),
        ([0.5, 0.1], " 1 of 2 changes is greater than the distance between seeds."),
    ],
)
def test_changes_are_measured_against_seeds_where_there_are_any(changes, said):
    rows = [row("beyond", b=1.0 + change) for change in changes]
    spreads = [SimpleNamespace(models=("one", "two"), run="A", spreads={"icl_score": 0.3})]
    assert told("Metrics", rows=rows, spreads=spreads).endswith(said)
    assert "seeds" not in told("Metrics", rows=rows)


def test_text_and_environment_are_told_by_what_changed_and_what_is_known():
    def fact(name: str, differs: bool | None, of_text: bool = False) -> SimpleNamespace:
        return SimpleNamespace(name=name, differs=differs, of_text=of_text)

    kind = "Text and environment"
    assert told(kind, facts=[fact("GPU", False)]) == "The same."
    assert told(kind, facts=[fact("GPU", None)]) == "The same, as far as both runs say."
    facts = [fact("characters", True, True), fact("GPU", True)]
    assert told(kind, facts=facts) == "Changed: the text (no other sources) and GPU."
    parts = {"facts": facts[1:], "sources": ["a"], "packages": ["b", "c"]}
    assert told(kind, **parts) == (
        "Changed: the text (1 other source), GPU and 2 packages of `requirements.lock`."
    )


def test_of_many_reasons_the_first_are_named_and_the_others_counted():
    outdated = {"B": SimpleNamespace(parameters=tuple("abcdef"), files=(), models=("m",))}
    assert glance.warnings(made(outdated={})) == ""
    assert (
        "`run`) are not those of its state: parameters changed after they were made (`a`, `b`, "
        "`c`, `d` and 2 more); `m` did not run yet. `make study` renews them"
    ) in glance.warnings(made(outdated=outdated))


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"how": "joint", "differ": True}, "@fig-pca shows both runs in one space of per-token"),
        ({"how": "joint", "differ": False}, "together. All models take the same path in both"),
        ({"how": "the same basis", "differ": True}, "losses. Both runs have the same components."),
        ({"how": "projected into A", "differ": True}, "The components are those of A; the per-"),
        ({"how": "projected into B", "differ": True}, "What moves only in A does not show."),
        ({"why": "other tokens"}, "measured on different tokens, so that there is no space that"),
        ({"why": "no losses"}, "the components of the other. So there is no picture of both runs"),
        ({"why": "unknown tokens of A"}, "What the per-token losses of A were measured on is not"),
    ],
)
def test_how_the_common_space_came_about_is_told_or_why_there_is_none(parts, said):
    space = {"how": None, "differ": False, "why": None, **parts}
    assert said in lead(
        "space",
        space=SimpleNamespace(how=space["how"]),
        paths_differ=space["differ"],
        why_no_space=space["why"],
    )


def test_each_section_says_whether_there_is_anything_to_see():
    without = SimpleNamespace(stages={}, curves=None)
    assert lead("parameters") == "All parameters are the same in both runs."
    assert lead("parameters", only_a=["one"]).startswith("1 entry differs: see @tbl-parameters. A")
    assert lead("verdicts", judged=False).startswith("One of the runs has no verdicts")
    assert lead("verdicts", verdicts=[1, 2]) == "None of the 2 verdicts changed."
    other = lead("verdicts", verdicts=[1], changed_verdicts=[1], other_thresholds=["1", "3"])
    assert other.endswith("The thresholds of arguments 1 and 3 changed too.")
    assert lead("stages", a=without).startswith("Without DVC's record")
    assert lead("stages", kept_stages=["a", "b"]) == "All 2 stages are the same in both runs."
    assert lead("stages", kept_stages=["a"], reruns=["b"]) == (
        "1 of 2 stages are the same in both runs; 1 is not, as @tbl-stages says."
    )
    assert lead("curves", a=without).startswith("One of the runs has no curves")
    assert lead("curves").startswith("No model has curves that differ")
    assert lead("curves", drawn_models=["one"], in_one_figure=True).startswith("@fig-curves lays")
    assert lead("curves", drawn_models=["one"], in_one_figure=False).startswith("@fig-icl, @fig-p")
    assert lead("seed", seed_alone=[]) == ""
    assert lead("seed", seed_alone=["one"]).startswith("The two runs differ in the seed of `one`")
    assert lead("same_models", same_models=["one"]).startswith("`one` has the same metrics")
