"""Questions asked since the paper: n-gram predictors, the bigram stage, foreseeing the onset."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
import torch
from made_summary import CONFIG, made_results, model

from induction.errors import StudyError
from induction.files import read_record, write_json, write_record
from induction.ngrams import predictors
from induction.ngrams.divergence import divergences, predictions
from induction.ngrams.predictors import predict
from induction.paths import StudyPaths
from induction.report import beyond
from induction.study.beyond import Beyond
from induction.study.beyond.bigrams import (
    BigramStage,
    Divergences,
    Nearest,
    bigram_stage,
    decide,
    load_divergences,
)
from induction.study.beyond.control import Control
from induction.study.beyond.foresight import Foresight, foresee, predict_held_out
from induction.study.beyond.foresight import decide as decide_foresight
from induction.study.beyond.llc import Geometry
from induction.study.over_seeds.facts import ModelKind, SeedFacts

NO_CONTROL = Control("not tested", (), {})
V = 5
TRAIN = np.random.default_rng(3).choice(V, 400, p=[0.4, 0.3, 0.15, 0.1, 0.05]).astype(np.uint16)


def by_hand(context: tuple[int, ...], token: int) -> float:
    """Witten-Bell smoothing, one probability at a time, from dictionaries."""
    n = len(context)
    windows = [tuple(TRAIN[i : i + n + 1].tolist()) for i in range(len(TRAIN) - n)]
    after = Counter(window[-1] for window in windows if window[:-1] == context)
    shorter = by_hand(context[1:], token) if context else 1 / V
    if not after:
        return shorter
    return (after[token] + len(after) * shorter) / (after.total() + len(after))


@pytest.mark.parametrize("part", [7, 1 << 20])
def test_predictors_count_the_training_text(monkeypatch: pytest.MonkeyPatch, part: int) -> None:
    monkeypatch.setattr(predictors, "_PART", part)
    contexts = np.array([(0, 1), (4, 4), (2, 0), (0, 1)])
    found = predict(TRAIN, contexts, V)
    assert [each.shape for each in found] == [(4, V)] * 3
    for length, each in enumerate(found):
        wanted = [
            [by_hand(tuple(context[2 - length :].tolist()), token) for token in range(V)]
            for context in contexts
        ]
        np.testing.assert_allclose(each, wanted, rtol=1e-5)


def test_a_context_never_seen_predicts_as_the_shorter_one() -> None:
    train = np.array([0, 1, 2, 0, 1, 2, 3], dtype=np.uint16)
    unigram, bigram, trigram = predict(train, np.array([(2, 1)]), 4)
    np.testing.assert_array_equal(trigram, bigram)
    assert bigram[0, 2] > unigram[0, 2]


class TableModel:
    """Predicts from a table of log-probabilities by the last token alone."""

    device = torch.device("cpu")

    def __init__(self, table: np.ndarray) -> None:
        self.table = torch.from_numpy(table)
        self.W_U = torch.eye(table.shape[1])

    def residual(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        return self.table[tokens_BT]


def test_divergence_is_zero_from_the_predictor_that_the_model_is() -> None:
    tokens = torch.from_numpy(np.random.default_rng(0).integers(V, size=(3, 9)))
    evaluation: Any = SimpleNamespace(tokens=tokens)
    predicted = predictions(evaluation, TRAIN, V)
    assert {name: each.probabilities.shape for name, each in predicted.items()} == dict.fromkeys(
        ("unigram", "bigram", "trigram"), (3, 7, V)
    )
    bigrams = predict(TRAIN, np.arange(V)[:, None], V)[1]
    found = divergences(cast(Any, TableModel(np.log(bigrams))), evaluation, predicted)
    np.testing.assert_allclose(found["bigram"], 0, atol=1e-6)
    assert min(found["unigram"].min(), found["trigram"].min()) > 1e-3
    flat = divergences(cast(Any, TableModel(np.zeros((V, V), np.float32))), evaluation, predicted)
    unigrams = predict(TRAIN, np.zeros((1, 0), int), V)[0][0]
    entropy = -(unigrams * np.log(unigrams)).sum()
    np.testing.assert_allclose(flat["unigram"], np.log(V) - entropy, rtol=1e-4)


TOKENS = np.geomspace(50_000, 6e6, 30)


def made_divergences(unigrams_at: float, bigrams_at: float, noise: float = 0.01) -> Divergences:
    random = np.random.default_rng(1)
    of = {
        name: np.abs(np.log(TOKENS / place))[:, None] + noise * random.normal(size=(30, 16))
        for name, place in (("unigram", unigrams_at), ("bigram", bigrams_at), ("trigram", 4e6))
    }
    return Divergences(TOKENS, of)


CASES = [
    (made_divergences(1e5, 4e5), "supported"),
    (made_divergences(1e5, 4e6), "not supported"),  # nearest to bigrams after the change
    (made_divergences(6e5, 2e5), "not supported"),  # nearest to bigrams first
    (made_divergences(3e5, 3.1e5, noise=3.0), "inconclusive"),
]


@pytest.mark.parametrize(("found", "outcome"), CASES)
def test_bigram_stage(found: Divergences, outcome: str) -> None:
    models = [model("deep", 2, 2e6), model("flat", 1), model("smeared", 1, 5e5, smeared=True)]
    stage = bigram_stage(models, dict.fromkeys(("deep", "flat", "smeared"), found), seed=0)
    assert stage.outcome == outcome
    assert [n.model for n in stage.asked] == ["deep"]  # smeared keys are another architecture
    assert [(n.model, n.before_onset) for n in stage.beside] == [("flat", None)]


def test_a_change_whose_end_is_not_seen_is_not_asked_about() -> None:
    deep = model("deep", 2, 2e6)
    assert deep.change
    open_end = replace(deep, change=replace(deep.change, complete=False))
    stage = bigram_stage([open_end], {"deep": CASES[0][0]}, seed=0)
    assert stage == BigramStage("not tested", (), ())


def test_one_model_that_fails_is_enough() -> None:
    good = Nearest("a", {}, {}, {}, 2e6, 1.0, 1.0)
    bad = replace(good, model="b", before_onset=0.02)
    assert decide([good, good]) == "supported"
    assert decide([good, bad]) == "not supported"
    assert decide([good, replace(good, unigrams_first=0.6)]) == "inconclusive"


def test_damaged_divergences_are_refused_in_one_line(tmp_path) -> None:
    paths = StudyPaths(tmp_path)
    with pytest.raises(StudyError, match="ngrams/deep"):
        load_divergences(paths, "deep")


def test_leaving_out_recovers_what_the_others_teach() -> None:
    random = np.random.default_rng(0)
    known = random.normal(size=(30, 4))
    wanted = 1.0 + known @ np.array([0.5, 0.0, -0.3, 0.0])
    groups = np.repeat(np.arange(3), 10)
    foreseen, constant = predict_held_out(known, wanted, groups)
    assert np.abs(foreseen - wanted).max() < 0.02
    np.testing.assert_allclose(constant[:10], wanted[10:].mean())


@pytest.mark.parametrize(
    ("ratio", "p_value", "outcome"),
    [
        (0.5, 0.01, "supported"),
        (0.75, 0.05, "supported"),
        (0.5, 0.06, "inconclusive"),
        (0.8, 0.01, "inconclusive"),
        (1.0, 0.01, "not supported"),
    ],
)
def test_foresight_outcomes(ratio: float, p_value: float, outcome: str) -> None:
    assert decide_foresight(ratio, p_value) == outcome


def made_zoo(later: float = 0.0) -> tuple[Any, ...]:
    """Three kinds of four seeds whose onset goes with their early previous-token score; `later` is
    added to everything that is measured after the first onset."""
    random, seeds, curves, pairs, apart = np.random.default_rng(5), {}, {}, {}, {}
    steps = np.arange(30)
    for layers in (2, 3, 4):
        kind = ModelKind(layers, True, "nothing")
        for seed in range(4):
            name = f"attn-{layers}l-s{seed}"
            early = random.uniform(0.2, 0.8)
            onset = 2e6 * np.exp(1.5 * (0.8 - early))
            score = np.full(30, early) + later * (TOKENS >= 2e6)
            facts = SeedFacts(name, kind, 6e6, onset, onset, None, -0.5, {}, (), ())
            seeds.setdefault(kind, []).append(facts)
            curves[name] = SimpleNamespace(
                step=steps,
                tokens=TOKENS,
                icl_score=random.normal(0, 0.01, 30) + later * (TOKENS >= 2e6),
                best_head=lambda _, score=score: score,
            )
            pairs[name] = pl.DataFrame({"step": steps, "k": 0.1 + 0 * steps})
            apart[name] = Divergences(TOKENS, {"bigram": np.ones((30, 4))})
    return seeds, curves, pairs, apart, CONFIG


def test_foresight_sees_what_goes_with_the_onset() -> None:
    found = foresee(*made_zoo())
    assert found.outcome == "supported"
    assert (found.models, found.kinds, len(found.forecasts)) == (12, 3, 12)
    assert found.without_kind
    assert found.without_kind.regression < 0.05
    assert found.without_kind.formula > 1  # of 22.7M tokens


def test_foresight_uses_nothing_after_its_moment() -> None:
    with_later, without = (foresee(*made_zoo(later)).forecasts for later in (9.0, 0.0))
    for ours, theirs in zip(with_later, without, strict=True):
        assert ours.without_kind == pytest.approx(theirs.without_kind, rel=1e-9)
        assert ours.without_model == pytest.approx(theirs.without_model, rel=1e-9)


def test_foresight_needs_models_of_several_kinds() -> None:
    seeds, *rest = made_zoo()
    few = dict(list(seeds.items())[:2])
    found = foresee(few, *rest)
    assert found == Foresight("not tested", 8, 2)


def test_what_was_found_is_read_back_and_shown(tmp_path) -> None:
    stage = bigram_stage([model("deep", 2, 2e6)], {"deep": CASES[0][0]}, seed=0)
    whole = Beyond(stage, foresee(*made_zoo()), NO_CONTROL, Geometry("not tested"))
    write_record(tmp_path / "beyond.json", Beyond, whole)
    assert read_record(tmp_path / "beyond.json", Beyond) == whole
    shown = made_results(model("deep", 2, 2e6), beyond=whole, paths=StudyPaths(tmp_path))
    assert "**Verdict: supported**, asked of `deep`." in beyond.bigrams(shown)
    assert "| `deep` |" in beyond.bigrams(shown)
    outcomes = [line.split("|")[-3:-1] for line in beyond.overview(shown).splitlines()[2:]]
    assert [[cell.strip() for cell in row] for row in outcomes] == [
        ["1", "supported"],
        ["0", "not tested"],
        ["12", "supported"],
        *6 * [["0", "not tested"]],
    ]
    other = StudyPaths(tmp_path / "data/published/other")
    write_json(other.root / "run.json", {})
    write_json(
        other.beyond, {"batch": {"outcome": "not supported"}, "copying": {"outcome": "not tested"}}
    )
    told = beyond.overview(shown)
    assert told.count("not tested here; not supported in `other` |") == 1
    assert "not tested in" not in told
    assert "**Verdict: supported**, 12 models of 3 kinds." in beyond.foresight(shown)
    nothing = made_results(
        beyond=Beyond(
            BigramStage("not tested", (), ()),
            Foresight("not tested", 2, 1),
            NO_CONTROL,
            Geometry("not tested"),
        )
    )
    assert beyond.bigrams(nothing) == "**Verdict: not tested**."
    assert "It takes 10 models of 3 kinds" in beyond.foresight(nothing)


def test_many_series_are_foreseen_apart() -> None:
    random = np.random.default_rng(0)
    known, groups = random.normal(size=(12, 3)), np.repeat(np.arange(3), 4)
    series = np.stack([known[:, 0], random.normal(size=12)], axis=1)
    for ours, theirs in zip(
        predict_held_out(known, series, groups),
        zip(*(predict_held_out(known, each, groups) for each in series.T), strict=True),
        strict=True,
    ):
        np.testing.assert_allclose(ours, np.stack(theirs, axis=1), rtol=1e-9)
