"""ICL scores under other windows, on losses that fall with the logarithm of the index."""

import numpy as np
import pytest
from made_curves import RULE, TOKENS, X

from induction.errors import StudyError
from induction.rules.phase_change import find_phase_change
from induction.study.windows import icl_windows

CHANGE = 1.0 / (1.0 + np.exp(-(X - np.log(3e6)) / 0.1))
PER_INDEX = 5.0 - 0.5 * CHANGE[:, None] * np.log(np.arange(1, 257))[None, :]


def test_every_pair_has_its_score_and_onset():
    early, late = [(7, 7), (16, 31)], [(127, 127), (224, 255)]
    table = icl_windows(TOKENS, PER_INDEX, early, late, RULE)
    pairs = table.select("early_from", "early_to", "late_from", "late_to").rows()
    assert pairs == [(*e, *w) for e in early for w in late]
    assert table["icl_score"][0] == pytest.approx(-0.5 * CHANGE[-1] * np.log(128 / 8))
    score = PER_INDEX[:, 224:256].mean(axis=1) - PER_INDEX[:, 16:32].mean(axis=1)
    change = find_phase_change(TOKENS, score, RULE)
    assert change is not None
    assert table["onset_tokens"][3] == pytest.approx(change.onset_tokens)


def test_the_onset_does_not_depend_on_windows_when_all_indices_change_together():
    table = icl_windows(TOKENS, PER_INDEX, [(4, 7), (16, 31)], [(100, 120), (224, 255)], RULE)
    np.testing.assert_allclose(table["onset_tokens"], table["onset_tokens"][0], rtol=1e-6)


def test_without_a_change_the_onset_is_null():
    table = icl_windows(TOKENS, 0 * PER_INDEX, [(4, 7)], [(100, 120)], RULE)
    assert table["onset_tokens"].to_list() == [None]
    assert table["icl_score"].to_list() == [0.0]


@pytest.mark.parametrize(
    ("early", "late"), [((4, 7), (200, 256)), ((4, 70), (60, 90)), ((7, 4), (60, 90))]
)
def test_windows_that_make_no_score_are_refused(early, late):
    with pytest.raises(StudyError, match="windows"):
        icl_windows(TOKENS, PER_INDEX, [early], [late], RULE)
