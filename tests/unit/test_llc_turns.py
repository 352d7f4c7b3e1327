"""Where the local learning coefficient turns: the rule on made curves, and what the report says."""

from dataclasses import replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from made_summary import CONFIG, made_results, model

from induction.errors import StudyError
from induction.paths import StudyPaths
from induction.report import beyond
from induction.report.figures import llc as figures
from induction.study.beyond.llc import (
    Coefficients,
    Geometry,
    Turns,
    decide,
    find_turns,
    geometry,
    load_coefficients,
)

TOKENS = np.geomspace(100_000, 1e7, 25)
ONSET, DISTANCE = 2e6, 0.3


def made(turn_at: float | None, spread: float = 1.0, height: float = 100.0) -> Coefficients:
    """λ̂ that rises by straight lines in ln(tokens), and falls again from `turn_at`."""
    x = np.log(TOKENS)
    line = x - x[0] if turn_at is None else -np.abs(x - np.log(turn_at))
    chains = np.array([-1.5, -0.5, 0.5, 1.5]) / np.std([-1.5, -0.5, 0.5, 1.5], ddof=1)
    values = height * (line / np.ptp(line))[:, None] + spread * chains
    return Coefficients(TOKENS, values, np.full(values.shape, 3.0))


def turns_of(own: Coefficients, onset: float | None = ONSET) -> Turns:
    return find_turns("made", own, 1e5, DISTANCE, onset)


def test_an_extremum_is_found_where_it_is() -> None:
    found = turns_of(made(2.2e6))
    (boundary,) = found.boundaries
    assert boundary == pytest.approx(2.2e6, rel=0.1)
    assert found.spread == pytest.approx(1.0)
    assert found.chains_agree
    assert found.nearest(ONSET) == pytest.approx(0.1, abs=0.1)
    upside_down = made(2.2e6)
    assert turns_of(replace(upside_down, llc=-upside_down.llc)).boundaries == (boundary,)


def test_a_curve_that_only_rises_has_no_boundary() -> None:
    assert turns_of(made(None)).boundaries == ()
    plateau = made(None)
    level = np.minimum(plateau.llc, 50) + np.maximum(plateau.llc - 70, 0)
    assert turns_of(replace(plateau, llc=level)).boundaries == ()


def test_an_extremum_must_stand_out_from_the_spread_on_both_sides() -> None:
    near_the_end = 6e6  # a fall by 12 of 100, less what smoothing takes
    assert turns_of(made(near_the_end, spread=1.0)).boundaries
    assert not turns_of(made(near_the_end, spread=5.0)).boundaries


def test_what_is_earlier_than_the_rule_looks_is_left_out() -> None:
    assert find_turns("made", made(2e5), 5e5, DISTANCE, ONSET).boundaries == ()


CASES = [
    (made(2.2e6), made(None), "supported"),
    (made(4e6), made(None), "not supported"),  # elsewhere
    (made(None), made(None), "not supported"),
    (made(2.2e6), made(1.9e6), "not supported"),  # in a model that does not change, too
    (made(2.2e6), made(5e5), "inconclusive"),
    (made(2.2e6, spread=30.0), made(None), "inconclusive"),
    (made(2.2e6), made(None, spread=30.0), "inconclusive"),
]


@pytest.mark.parametrize(("deep", "flat", "outcome"), CASES)
def test_outcomes(deep: Coefficients, flat: Coefficients, outcome: str) -> None:
    models = [model("deep", 2, ONSET), model("flat", 1), model("smeared", 1, 5e5, smeared=True)]
    found = geometry(models, {"deep": deep, "flat": flat, "smeared": deep}, CONFIG)
    assert found.outcome == outcome
    assert [[t.model for t in group] for group in (found.asked, found.beside)] == [
        ["deep"],
        ["flat"],
    ]


def test_not_tested_without_models_of_both_sorts_or_between_far_snapshots() -> None:
    deep, flat = turns_of(made(2.2e6)), turns_of(made(None), None)
    assert decide([deep], [flat], DISTANCE) == "supported"
    assert decide([], [flat], DISTANCE) == decide([deep], [], DISTANCE) == "not tested"
    for gap in (0.5, None):
        assert decide([deep, replace(deep, gap=gap)], [flat], DISTANCE) == "not tested"
    assert geometry([model("deep", 2, ONSET)], {}, CONFIG) == Geometry("not tested")


def test_one_model_without_a_boundary_is_enough() -> None:
    deep, flat = turns_of(made(2.2e6)), turns_of(made(None), None)
    assert decide([deep, replace(deep, boundaries=())], [flat], DISTANCE) == "not supported"


def test_what_stage_llc_wrote_is_verified(tmp_path) -> None:
    with pytest.raises(StudyError, match="llc/deep"):
        load_coefficients(StudyPaths(tmp_path), "deep")


def test_the_report_has_a_row_for_each_model_or_says_that_none_was_sampled() -> None:
    models = [model("deep", 2, ONSET), model("flat", 1)]
    given = {"deep": made(2.2e6), "flat": made(None)}
    found: Any = type("Found", (), {"geometry": geometry(models, given, CONFIG)})
    text = beyond.geometry(made_results(*models, beyond=found, coefficients=given))
    assert "**Verdict: supported**, asked of `deep`." in text
    assert "`flat`" in text
    assert "shown alone" in text
    found.geometry = Geometry("not tested")
    nothing = made_results(*models, beyond=found, coefficients={})
    assert "make preset NAME=beyond" in beyond.geometry(nothing)
    assert figures.coefficient_table(nothing).is_empty()
    assert figures.coefficients(nothing).axes
    table = figures.coefficient_table(made_results(*models, beyond=found, coefficients=given))
    assert table.shape == (2 * 25 * 4, 6)


def test_the_figure_has_a_panel_for_each_kind() -> None:
    models = [model("attn-1l", 1), model("attn-2l", 2, ONSET), model("attn-2l-s1", 2, ONSET)]
    given = {"attn-1l": made(None), "attn-2l": made(2.2e6), "attn-2l-s1": made(2.3e6)}
    found: Any = type("Found", (), {"geometry": geometry(models, given, CONFIG)})
    figure = figures.coefficients(made_results(*models, beyond=found, coefficients=given))
    panels = [axes for axes in figure.axes if axes.get_visible()]
    # Four chains, their mean, the boundaries (none, and one), and another seed.
    assert [len(axes.lines) for axes in panels] == [6, 7]
    (place,) = np.asarray(panels[1].lines[-1].get_xdata())
    assert place == pytest.approx(2.2e6, rel=0.1)
    plt.close(figure)
