"""What the explorer and its figure say of the passages: losses, first view, text."""

from dataclasses import replace

import matplotlib
import numpy as np
import pytest
from made_explored import (
    BAND,
    CHOSEN,
    COPY,
    FALL,
    HELPED,
    INDUCTION,
    PICKED,
    TEXTS,
    made_results,
)

from induction.explore.store import OnPassages
from induction.report import interactive
from induction.report.figures.passage import attention_on_text, lay_out, on_text
from induction.report.interactive.view import (
    View,
    color_limit,
    explored,
    first_view,
    loss_change,
    visible,
)
from induction.report.results import Results
from induction.rules.head_kinds import HeadKinds
from induction.rules.phase_change import PhaseChange

matplotlib.use("agg")


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    return made_results(tmp_path_factory.mktemp("study"))


def test_the_loss_change_is_that_across_the_band(results):
    found = explored(results).models["attn-2l"]
    change = loss_change(results, "attn-2l", found)
    e_folds = np.log(BAND[1] / BAND[0])
    assert change.tokens == tuple(BAND)
    assert change.stretch == "4k to 16k tokens, its phase change"
    assert change.values[0, HELPED] == pytest.approx(-FALL * e_folds, abs=1e-4)
    assert change.values[1, HELPED] == pytest.approx(0.1 * e_folds, abs=1e-4)
    assert np.isnan(change.values[:, 0]).all()


def test_a_model_without_a_band_borrows_that_of_the_first_that_has_one(results):
    found = explored(results).models["attn-1l"]
    change = loss_change(results, "attn-1l", found)
    assert change.tokens == tuple(BAND)
    assert "the phase change of attn-2l" in change.stretch


@pytest.fixture(scope="module")
def flat(results) -> Results:
    """The same study without any phase change or induction head, as the smoke preset has it."""
    models = {
        name: replace(found, change=None, kinds=HeadKinds((), ()))
        for name, found in results.models.items()
    }
    return replace(results, models=models)


def test_where_no_model_has_a_band_all_of_training_is_compared(flat):
    change = loss_change(flat, "attn-2l", explored(flat).models["attn-2l"])
    assert change.tokens == (2000, 64000)
    assert change.why == "all of its training"


def test_a_band_that_training_did_not_reach_is_not_used(results):
    changed = replace(
        results.models["attn-2l"], change=PhaseChange(4000, (4000, 100_000), 0.5, 1.0, 0.8, False)
    )
    longer = replace(results, models={**results.models, "attn-2l": changed})
    change = loss_change(longer, "attn-1l", explored(results).models["attn-1l"])
    assert change.tokens == (2000, 64000)


def test_few_snapshots_are_compared_as_they_are(results):
    found = explored(results).models["attn-2l"]
    short = OnPassages(found.tokens[:3], found.losses[:3], found.picked[:1], found.patterns[:1])
    change = loss_change(results, "attn-2l", short)
    assert change.tokens == (0, 4000)
    assert change.values[1, 1:] == pytest.approx(0.1 * np.log(4000), abs=1e-4)


def test_a_study_without_phase_changes_has_its_explorer_too(flat):
    everything = explored(flat)
    assert first_view(flat, everything).model == "attn-1l"
    assert "all of its training" in interactive.explorer(flat)
    assert "no phase change" in interactive.training_slider(flat)
    assert len(attention_on_text(flat).axes) == 6


def test_the_first_view_is_where_the_induction_head_helps_most(results):
    view = first_view(results, explored(results))
    assert view == View("attn-2l", len(PICKED) - 1, INDUCTION, passage=0, token=CHOSEN)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("foo", "foo"),
        (" foo", " foo"),
        ("   ", "···"),
        ("\n  ", "⏎··"),
        ("\t", "→"),
        ("a\u202eb", "a\ufffdb"),
        ("", "\ufffd"),
    ],
)
def test_a_token_is_visible(text, shown):
    assert visible(text) == shown


def test_nearly_all_changes_lie_within_the_colour_scale():
    changes = np.linspace(-3, 3, 1001)[None, :]
    limit = color_limit([changes])
    assert limit == 3.0
    assert color_limit([changes / 100]) == 0.5


def test_tokens_are_laid_out_like_text():
    assert lay_out(["ab", "cd", "⏎·", "ef", "ghi", "j"], columns=5) == [
        *[(0, 0), (0, 2)],
        *[(1, 0)],  # would cross the edge
        *[(2, 0), (2, 2)],
        (3, 0),
    ]


def test_the_figure_shows_every_token_and_frames_the_chosen_one(results):
    figure = attention_on_text(results)
    losses, attention = figure.axes[0], figure.axes[2]
    for axes in (losses, attention):
        assert [text.get_text() for text in axes.texts] == [visible(text) for text in TEXTS]
        framed = [patch for patch in axes.patches if not patch.get_fill()]
        assert len(framed) == 2
    colors = {patch.get_facecolor() for patch in losses.patches if patch.get_fill()}
    assert len(colors) == 3  # not predicted, better, worse
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert "attn-2l, from 4k to 16k tokens, its phase change" in titles[0]
    table = on_text(results)
    assert table["chosen"].arg_true().to_list() == [CHOSEN]
    assert table[f"to_{COPY}"][CHOSEN] == pytest.approx(0.8)
    assert table["loss_change"][0] is None
