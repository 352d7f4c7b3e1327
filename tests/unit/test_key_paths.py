"""Paths from heads to the keys of later heads, cut in models in which what they carry is known."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from built_models import D_VOCAB, induction_model, q_composition_model, random_model

from induction.ablate.key_paths import SCHEMA, key_paths
from induction.ablate.sets import other_sets
from induction.evaluation.evaluation_set import EvaluationSet
from induction.evaluation.probes import Probes
from induction.measure import prefix_matching

PERIODS = np.array([9, 12, 10, 11, 12, 9, 10, 8, 7, 12, 11])


def evaluation() -> EvaluationSet:
    """Probes of more sequences than are run at once, and no text: none is read."""
    random = np.random.default_rng(0)
    tokens = np.zeros((len(PERIODS), 1 + 4 * PERIODS.max()), dtype=np.int64)
    for row, period in zip(tokens, PERIODS, strict=True):
        row[1 : 1 + 4 * period] = np.tile(random.permutation(D_VOCAB - 1)[:period] + 1, 4)
    probes = Probes(torch.from_numpy(tokens), PERIODS, 4)
    return EvaluationSet(torch.zeros(1, 2), np.zeros((1, 1), int), (0, 0), (1, 1), 1, probes)


def cut(rows: pl.DataFrame, head: int, source: int) -> tuple[float, float]:
    """Prefix matching of head 1.`head`, intact and without its path from head 0.`source`."""
    found = rows.filter((pl.col("head") == head) & (pl.col("from_head") == source))
    return found["prefix_matching"].item(), found["without"].item()


def test_the_induction_head_is_lost_without_the_previous_token_head_alone():
    rows = key_paths(induction_model(), evaluation())
    assert rows.schema == SCHEMA
    assert rows.select("layer", "head", "from_layer", "from_head").n_unique() == 4
    intact, without = cut(rows, 0, source=0)
    assert intact > 0.9
    assert without < 0.2
    intact, without = cut(rows, 0, source=1)
    assert without == pytest.approx(intact)


def test_what_queries_read_is_no_path_to_keys():
    rows = key_paths(q_composition_model(), evaluation())
    intact, without = cut(rows, 0, source=0)
    assert without == pytest.approx(intact)


@pytest.mark.parametrize("attn_only", [True, False])
def test_intact_scores_are_those_that_are_measured(attn_only):
    model = random_model(n_layers=3, attn_only=attn_only)
    rows = key_paths(model, evaluation())
    scores = prefix_matching.measure(model, evaluation())["prefix_matching"]
    assert len(rows) == 4 * 4 + 4 * 8
    for row in rows.iter_rows(named=True):
        assert row["prefix_matching"] == pytest.approx(scores[row["layer"], row["head"]], rel=1e-4)
    assert not np.allclose(rows["without"], rows["prefix_matching"], rtol=1e-3)


def test_one_layer_has_no_paths():
    assert key_paths(random_model(n_layers=1), evaluation()).is_empty()


def test_clamped_heads_do_not_follow_their_keys():
    model = induction_model()
    model.spec = replace(model.spec, clamp="induction")
    assert key_paths(model, evaluation()).is_empty()


def test_other_sets_are_all_or_as_many_as_asked_and_hold_no_induction_head():
    spec = random_model(n_layers=2).spec
    every = other_sets(spec, [(1, 0), (1, 2)], 100, seed=0)
    assert len({s.heads for s in every}) == 6 * 5 // 2
    assert all(len(s.heads) == 2 and not s.heads & {(1, 0), (1, 2)} for s in every)
    some = other_sets(spec, [(1, 0), (1, 2)], 7, seed=0)
    assert len({s.heads for s in some}) == 7
    assert {s.heads for s in some} < {s.heads for s in every}
    assert some == other_sets(spec, [(1, 0), (1, 2)], 7, seed=0)
    assert [s.draw for s in some] == list(range(7))
    assert {ablation.kind for s in some for ablation in s.ablations()} == {"zero"}


@pytest.mark.parametrize(
    "induction", [[], [(layer, head) for layer in (0, 1) for head in range(3)]]
)
def test_there_are_no_other_sets_without_induction_heads_or_enough_others(induction):
    assert other_sets(random_model(n_layers=2).spec, induction, 10, seed=0) == []
