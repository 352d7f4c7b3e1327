"""The preregistered tests over seeds: what they find in made-up studies of known truth."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from made_curves import POWER, RULE, TOKENS, X
from made_summary import CONFIG, made_results
from scipy import stats

from induction.config import Model
from induction.report import over_seeds
from induction.report.results import Results
from induction.study.over_seeds import MeanBump, OverSeeds, judge_over_seeds
from induction.study.over_seeds.bumps import mean_bump
from induction.study.over_seeds.facts import (
    HeadFacts,
    ModelKind,
    SeedFacts,
    _partner_matters,
    kind_of,
)
from induction.study.over_seeds.resampling import (
    difference_over_seeds,
    holm,
    mean_over_seeds,
    p_labels,
    p_lower,
    p_paired,
    p_positive,
    p_within,
    share_interval,
)
from induction.study.over_seeds.verdict import SeedVerdict
from induction.study.trajectory_angle import TrajectoryAngle

THRESHOLDS = CONFIG.verdicts
ONE, TWO, THREE, FOUR = (ModelKind(n, True, "nothing") for n in (1, 2, 3, 4))
TWO_WITH_MLPS, CONTROL = ModelKind(2, False, "nothing"), ModelKind(1, True, "values")
SMEARED_ONE, SMEARED_TWO = (ModelKind(n, True, "keys") for n in (1, 2))
HEADS = tuple(
    HeadFacts((1, n), induction=n == 0, passes=n == 0, partner_matters=n == 0) for n in range(4)
)
# Kind → onset in millions (None: no change) and ICL score; as the paper has it.
PAPER = {
    ONE: (None, 0.0),
    ModelKind(1, False, "nothing"): (None, 0.0),
    TWO: (3.0, -0.40),
    THREE: (3.1, -0.42),
    FOUR: (3.0, -0.44),
    TWO_WITH_MLPS: (4.0, -0.30),
    SMEARED_ONE: (0.4, -0.45),
    SMEARED_TWO: (0.5, -0.60),
    CONTROL: (None, 0.0),
}


def study(seed: int = 0, seeds: int = 5) -> dict[ModelKind, list[SeedFacts]]:
    """Seeds that scatter a little around what the paper has."""
    random = np.random.default_rng(seed)
    found: dict[ModelKind, list[SeedFacts]] = {}
    for kind, (onset, icl) in PAPER.items():
        for number in range(seeds):
            at = onset and onset * 1e6 * float(np.exp(random.normal(0, 0.03)))
            deep = kind.n_layers > 1
            found.setdefault(kind, []).append(
                SeedFacts(
                    name=f"{kind.n_layers}-{number}",
                    kind=kind,
                    tokens=1e7,
                    onset_tokens=at,
                    relative_onset_tokens=at,
                    heads_formed_tokens=at and at * float(np.exp(random.normal(0.2, 0.02))),
                    icl_score=icl + float(random.normal(0, 0.02)),
                    removed=dict.fromkeys(("zero", "mean", "resample"), 0.9) if at and deep else {},
                    others_removed=(0.0, 0.1, 0.05) if at and deep else (),
                    heads=HEADS if at and deep else (),
                )
            )
    return found


def outcomes(seeds: dict[ModelKind, list[SeedFacts]]) -> dict[int, str]:
    return {v.argument: v.outcome for v in judge_over_seeds(seeds, THRESHOLDS)}


def changed(kind: ModelKind, **changes) -> dict[ModelKind, list[SeedFacts]]:
    """The study with other facts of one kind; a list has one for each of its seeds."""
    seeds = study()
    for place, s in enumerate(seeds[kind]):
        own = {name: v[place] if isinstance(v, list) else v for name, v in changes.items()}
        seeds[kind][place] = replace(s, **own)
    return seeds


def found(argument: int, seeds: dict[ModelKind, list[SeedFacts]]) -> SeedVerdict:
    (verdict,) = [v for v in judge_over_seeds(seeds, THRESHOLDS) if v.argument == argument]
    return verdict


def test_the_papers_world_supports_every_argument():
    assert outcomes(study()) == dict.fromkeys((1, 2, 3, 5, 6), "supported")


def test_every_verdict_says_over_how_many_seeds_and_corrects_its_p():
    for verdict in judge_over_seeds(study(), THRESHOLDS):
        assert verdict.seeds == (5, 5)
        assert verdict.p_value is not None
        assert verdict.corrected is not None
        assert verdict.p_value <= verdict.corrected <= 1
        for m in verdict.measures:
            assert m.low <= m.value <= m.high


def test_too_few_seeds_are_not_tested():
    assert judge_over_seeds({}, THRESHOLDS) == []
    seeds = study()
    for kind in (FOUR, CONTROL):
        del seeds[kind]
    supported, untested = dict.fromkeys((1, 3, 5), "supported"), dict.fromkeys((2, 6), "not tested")
    assert outcomes(seeds) == supported | untested


def test_heads_that_form_at_any_time_do_not_co_occur():
    seeds = study()
    random = np.random.default_rng(1)
    for members in seeds.values():
        for place, s in enumerate(members):
            at = s.relative_onset_tokens and 1e5 * float(np.exp(random.uniform(0, 4)))
            members[place] = replace(s, heads_formed_tokens=at)
    assert outcomes(seeds)[1] == "inconclusive"


def test_a_change_in_one_layer_refutes_co_occurrence_and_its_share_has_an_interval():
    verdict = found(1, changed(ONE, relative_onset_tokens=2e6, onset_tokens=2e6))
    assert verdict.outcome == "not supported"
    (share,) = [m for m in verdict.measures if "share" in m.name]
    assert share.value == 0.5
    assert (share.low, share.high) == pytest.approx((0.187, 0.813), abs=0.001)


def test_rules_that_disagree_leave_co_occurrence_open():
    verdict = found(1, changed(ONE, onset_tokens=2e6))
    assert verdict.outcome == "inconclusive"
    assert any("not supported" in line for line in verdict.shown)


@pytest.mark.parametrize(
    ("argument", "kind", "changes", "outcome"),
    [
        (2, CONTROL, {"relative_onset_tokens": 2e6}, "not supported"),
        (2, SMEARED_TWO, {"relative_onset_tokens": 6e6}, "not supported"),  # no earlier
        (2, SMEARED_ONE, {"icl_score": -0.1}, "not supported"),  # helps too little
        (3, TWO, {"removed": {"zero": 0.2}}, "not supported"),
        (3, TWO, {"removed": [{"zero": n} for n in (0.1, 1.2, 0.9, 0.3, 1.0)]}, "inconclusive"),
        (6, FOUR, {"icl_score": -1.0}, "not supported"),  # a jump
        (6, FOUR, {"icl_score": [-0.1, -0.8, -0.4, -0.2, -0.7]}, "inconclusive"),  # it scatters
    ],
)
def test_seeds_of_one_kind_that_are_not_as_the_paper_has_them(argument, kind, changes, outcome):
    assert outcomes(changed(kind, **changes))[argument] == outcome


def test_a_seed_that_neither_changes_nor_has_heads_has_nothing_to_take_out():
    seeds = study()
    own = seeds[TWO_WITH_MLPS]
    quiet = {"relative_onset_tokens": None, "onset_tokens": None, "removed": {}}
    own[0] = replace(own[0], others_removed=(), **quiet)
    assert found(3, seeds).outcome == "supported"
    own[1] = replace(own[1], removed={})  # it changes: a share of nothing
    (mlp,) = [m for m in found(3, seeds).measures if "MLPs" in m.name]
    assert mlp.value == pytest.approx(0.9 * 3 / 4)


@pytest.mark.parametrize(
    ("fact", "value", "outcome"),
    [
        ("passes", False, "not supported"),
        ("partner_matters", False, "not supported"),
        ("passes", True, "inconclusive"),  # which then tells nothing of induction heads
    ],
)
def test_heads_that_are_not_as_theory_says_do_not_support_the_mechanism(fact, value, outcome):
    seeds = study()
    for members in seeds.values():
        for place, s in enumerate(members):
            heads = tuple(replace(h, **{fact: value}) for h in s.heads)
            members[place] = replace(s, heads=heads)
    assert outcomes(seeds)[5] == outcome


def test_holm_is_that_of_the_book_and_keeps_the_order():
    assert holm({1: 0.01, 2: 0.04, 3: 0.03}) == pytest.approx({1: 0.03, 3: 0.06, 2: 0.06})
    assert holm({}) == {}


def test_five_against_five_can_reach_one_in_252():
    assert p_lower([1, 2, 3, 4, 5], [6, 7, 8, 9, 10]) == pytest.approx(1 / 252)
    assert p_lower([6, 7, 8, 9, 10], [1, 2, 3, 4, 5]) == 1


def test_signs_are_flipped_in_all_ways_or_in_many():
    assert p_positive([1.0, 2.0, 3.0], 0) == pytest.approx(1 / 8)
    assert p_positive([1.0] * 20, 0) < 0.001
    assert p_positive([1.0, -1.0] * 10, 0) > 0.3


def test_random_pairs_and_labels_under_their_null_are_rarely_significant():
    random = np.random.default_rng(0)
    pairs = [p_paired(random.normal(size=12), random.normal(size=12), 0) for _ in range(20)]
    labels = np.arange(8) < 2
    groups = [[(labels, random.random(8) < 0.5) for _ in range(5)] for _ in range(20)]
    shuffled = [p_labels(group, 0) for group in groups]
    for values in (pairs, shuffled):
        assert np.mean(np.array(values) < 0.05) <= 0.25
        assert np.mean(np.array(values) < 0.5) >= 0.15


def test_intervals_are_those_of_t_tests():
    a, b = [1.0, 2.0, 4.0], [0.0, 1.0, 5.0, 2.0]
    mean = mean_over_seeds(a)
    half = stats.t.ppf(0.975, 2) * np.std(a, ddof=1) / np.sqrt(3)
    assert (mean.value - mean.low, mean.high - mean.value) == pytest.approx((half, half))
    difference = difference_over_seeds(a, b, 0.9)
    assert difference.value == pytest.approx(7 / 3 - 2)
    assert difference.low < difference.value < difference.high
    assert mean_over_seeds([3.0]) == (3.0, 3.0, 3.0)
    assert share_interval(0, 10).high == pytest.approx(0.3085, abs=1e-3)


def test_equivalence_needs_means_close_and_sure():
    close, other = [1.0, 1.01, 0.99, 1.0], [1.02, 1.0, 1.01, 0.99]
    assert p_within(close, other, 0.2) < 0.001
    assert p_within(close, [2.0, 2.01, 1.99], 0.2) > 0.99
    assert p_within([0.5, 1.5, 1.0], [0.6, 1.4, 1.0], 0.2) > 0.05


def test_models_with_a_recipe_of_their_own_are_of_no_kind():
    entry = Model(n_layers=2, attn_only=True, tokens=10, seed=3)
    assert kind_of(entry) == TWO
    for change in (
        {"optimizer": "adamw"},
        {"learning_rate": 0.1},
        {"data_order": "random"},
        {"smeared_keys": True, "smeared_values": True},
    ):
        assert kind_of(entry.model_copy(update=change)) is None
    smeared = entry.model_copy(update={"smeared_values": True})
    assert kind_of(smeared) == ModelKind(2, True, "values")


def test_the_partner_is_the_path_whose_cut_costs_most():
    columns = ("layer", "head", "from_layer", "from_head", "prefix_matching", "without")
    rows = [(1, 0, 0, 0, 0.5, 0.1), (1, 0, 0, 1, 0.5, 0.4), (1, 1, 0, 0, 0.2, 0.3)]
    paths = pl.DataFrame(rows, schema=columns, orient="row")
    assert _partner_matters(paths, (1, 0), (0, 0)) is True
    assert _partner_matters(paths, (1, 0), (0, 1)) is False
    assert _partner_matters(paths, (1, 1), (0, 0)) is False  # it loses nothing
    assert _partner_matters(paths, (2, 0), (0, 0)) is None


def written(seeds: dict[ModelKind, list[SeedFacts]]) -> Results:
    """The verdicts as the report reads them."""
    paths = SimpleNamespace(root=Path(__file__).parents[2])
    return made_results(over_seeds=OverSeeds(judge_over_seeds(seeds, THRESHOLDS), []), paths=paths)


def test_the_report_has_every_measure_condition_and_p_of_what_was_tested():
    seeds = study()
    del seeds[CONTROL]
    results = written(seeds)
    table = over_seeds.tests(results)
    for verdict in judge_over_seeds(seeds, THRESHOLDS):
        tested = verdict.outcome != "not tested"
        assert (verdict.title in table) == tested == (verdict.argument != 2)
        assert all(m.name in table for m in verdict.measures)
        assert all(c.question in table for c in verdict.conditions)
    whole = over_seeds.tests_if_any(results)
    assert "2. Co-perturbation" in whole
    assert whole.rstrip().endswith(table)
    assert over_seeds.beside_verdict(results, 1).startswith("; over seeds **supported** (p ")
    assert over_seeds.beside_verdict(results, 2) == ""
    assert over_seeds.beside_verdict(results, 4) == ""


def test_the_report_says_that_no_test_was_run():
    assert "none of them was run here" in over_seeds.tests_if_any(written({}))


@pytest.mark.parametrize(
    ("commits", "told"),
    [
        ([], "before the models were trained; later changes are listed there."),
        (["a1"], "before the models were trained (commit `a1`); later"),
        (["a1", "b2", "c3"], "trained (commit `a1`, last changed in `c3`); later"),
    ],
)
def test_the_report_says_when_the_tests_were_written_down(commits, told, monkeypatch):
    monkeypatch.setattr(over_seeds.provenance, "written_in", lambda results, path: commits)
    seeds = study()
    assert told in (whole := over_seeds.tests_if_any(written(seeds)))
    assert "Too few seeds" not in whole
    del seeds[CONTROL]
    left = "Too few seeds of a kind that is needed: 2. Co-perturbation.\n"
    assert left in over_seeds.tests_if_any(written(seeds))


def losses(bump: float, noise: float = 0.002) -> np.ndarray:
    """Five loss curves that fall ever more slowly, with a bump at three million tokens."""
    random = np.random.default_rng(3)
    at = np.exp(-0.5 * ((X - np.log(3e6)) / RULE.bandwidth) ** 2)
    return POWER + bump * at + noise * random.standard_normal((5, len(TOKENS)))


def test_a_bump_of_the_mean_is_found_and_none_has_a_smallest_that_is_one():
    seen = mean_bump("a", TOKENS, losses(0.3), 3e6, RULE, 0)
    assert seen.peak_tokens == pytest.approx(3e6, rel=0.3)
    assert seen.height is not None
    assert seen.smallest is None
    none = mean_bump("a", TOKENS, losses(0.0), 3e6, RULE, 0)
    assert none.height is None
    assert none.smallest is not None
    assert mean_bump("a", TOKENS, losses(1.3 * none.smallest), 3e6, RULE, 0).height is not None
    assert mean_bump("a", TOKENS, losses(0.5 * none.smallest), 3e6, RULE, 0).height is None


def test_the_report_tells_bumps_and_turns_by_kind():
    entry = Model(n_layers=2, attn_only=True, tokens=10, seed=0)
    models = {f"two-s{n}": entry.model_copy(update={"seed": n}) for n in range(3)}
    turns = {
        "two-s0": TrajectoryAngle(9.0, 1.0, 0.3, 91.0),
        "two-s1": None,
        "two-s2": TrajectoryAngle(9.0, 1.0, 0.3, 97.0),
    }
    results = written(study())
    bumps = results.over_seeds.bumps
    bumps.append(MeanBump("two", 3, None, None, 0.12))
    vars(results).update(
        config=SimpleNamespace(models=models),
        loss_space=SimpleNamespace(explained=SimpleNamespace(angles=turns)),
    )
    (row,) = [line for line in over_seeds.tests_if_any(results).splitlines() if "`two`" in line]
    assert "one of 0.120 would be seen" in row
    assert "91 to 97" in row
    bumps[:] = [MeanBump("two", 3, 0.1, 3e6, None)]
    assert "| 0.100 at 3M |" in over_seeds.tests_if_any(results)
    bumps[:] = [MeanBump("two", 3, None, None, None)]
    assert "| none; one of a nat would not be seen |" in over_seeds.tests_if_any(results)
