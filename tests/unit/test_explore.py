"""The explorer's data: passages chosen by their text alone, patterns and losses as the models'."""

import json

import numpy as np
import pytest
import torch
from built_models import N_CTX, induction_model, random_model
from made_explored import ROOT
from tokenizers import Tokenizer, models

from induction.config import Explorer, load_config
from induction.data.tokens import START_TOKEN
from induction.errors import StudyError
from induction.explore.passages import choose_passages, repeated_pairs
from induction.explore.patterns import attention_patterns, token_losses
from induction.explore.store import load_explored
from induction.files import published_folder
from induction.model.weights import save_snapshot
from induction.paths import StudyPaths
from induction.stages.explore import evenly_picked, main

WORDS = Tokenizer(models.WordLevel({f"w{i}": i for i in range(32)}, "w0"))


def stream(*documents: list[int]) -> np.ndarray:
    return np.array([i for ids in documents for i in (START_TOKEN, *ids)], dtype=np.uint16)


def with_repeats(count: int, length: int = 20) -> list[int]:
    """Tokens that all differ, but for the first two coming back `count` times."""
    return [1, 2] * (count + 1) + list(range(10, 10 + length - 2 * count - 2))


def test_repeated_pairs_are_those_that_have_stood_before():
    assert repeated_pairs([1, 2, 3, 1, 2, 3]) == 2
    assert repeated_pairs([1, 2, 3, 4]) == 0
    assert repeated_pairs([7, 7, 7, 7]) == 2


def test_passages_are_the_middle_ones_of_equal_parts_from_few_repeats_to_many():
    repeats = [5, 0, 3, 1, 4, 2]
    documents = [with_repeats(count) for count in repeats]
    counts = [repeated_pairs(ids) for ids in documents]
    chosen = choose_passages(stream(*documents), WORDS, count=3, length=20)
    ordered = sorted(counts)
    assert [passage.repeats for passage in chosen] == [ordered[1], ordered[3], ordered[5]]
    assert chosen[0].ids == tuple(documents[counts.index(ordered[1])])
    assert chosen[0].texts == tuple(f"w{i}" for i in chosen[0].ids)


def test_a_passage_is_the_middle_of_its_document_without_the_start_token():
    long = list(range(1, 31))
    (passage,) = choose_passages(stream([1] * 5, long), WORDS, count=1, length=10)
    assert passage.ids == tuple(range(11, 21))
    (whole,) = choose_passages(stream(list(range(1, 11))), WORDS, count=1, length=10)
    assert whole.ids == tuple(range(1, 11))


def test_too_few_long_documents_are_named():
    with pytest.raises(StudyError, match=r"only 1 validation documents hold 10 tokens"):
        choose_passages(stream([1] * 9, [1] * 10), WORDS, count=2, length=10)


def unpacked(triangle: np.ndarray, length: int) -> np.ndarray:
    square = np.zeros((*triangle.shape[:-1], length, length))
    square[..., *np.tril_indices(length)] = triangle / 255
    return square


def test_patterns_of_built_heads_are_what_they_were_built_to_be():
    segment = np.arange(3, 13)
    ids = np.stack([np.tile(segment, 3), np.roll(np.tile(segment, 3), 4)])
    found = unpacked(attention_patterns(induction_model(), ids), 30)
    previous, idle, matching = found[:, 0, 0], found[:, 0, 1], found[:, 1, 0]
    assert np.allclose(np.diagonal(previous, -1, 1, 2), 1)
    assert np.allclose(idle[:, 9, :10], 0.1, atol=0.5 / 255)
    # One earlier copy: all attention on the token after it. (The first token of all has none
    # before it and stands in for that itself, so its copy looks at two places.)
    for query in range(11, 20):
        assert np.allclose(matching[:, query, query - 9], 1)


def test_losses_are_those_of_the_model():
    model = random_model()
    ids = np.random.default_rng(0).integers(1, 32, size=(2, 12))
    losses = token_losses(model, ids)
    assert losses.shape == (2, 11)
    for row, tokens in zip(losses, torch.from_numpy(ids), strict=True):
        for i in range(11):
            logits = model(tokens[None, : i + 1])[0, -1]
            expected = logits.logsumexp(0) - logits[tokens[i + 1]]
            assert row[i] == pytest.approx(float(expected), abs=1e-4)


@pytest.mark.parametrize(
    ("snapshots", "count", "expected"),
    [(5, 10, [0, 1, 2, 3, 4]), (7, 3, [0, 3, 6]), (62, 2, [0, 61]), (1, 4, [0])],
)
def test_picked_snapshots_are_even_with_first_and_last(snapshots, count, expected):
    assert evenly_picked(snapshots, count).tolist() == expected


@pytest.fixture
def study(tmp_path):
    """A study of two models that have five and three snapshots, and its configuration."""
    paths = StudyPaths(tmp_path)
    documents = [np.random.default_rng(k).integers(1, 32, 40).tolist() for k in range(4)]
    valid = stream(*documents)
    meta = {
        **{"d_vocab": 32, "start_token": 0, "characters_per_token": 2.0, "sources": []},
        **{"train_documents": 1, "train_characters": 1, "train_tokens": 1, "dropped": {}},
        **{"valid_documents": 4, "valid_characters": 1, "valid_tokens": len(valid)},
    }
    with published_folder(paths.tokens, paths.scratch) as folder:
        (folder / "meta.json").write_text(json.dumps(meta))
        (folder / "valid.bin").write_bytes(valid.astype("<u2").tobytes())
        WORDS.save(str(folder / "tokenizer.json"))
    config = load_config(ROOT / "params" / "smoke.yaml")
    wide = config.models["attn-2l"]
    config = config.model_copy(
        update={
            "explorer": Explorer(passages=2, tokens=24, snapshots=3),
            "models": {"narrow": config.models["attn-1l"], "wide": wide},
        }
    )
    for name, shape in (("narrow", {"n_layers": 1, "n_heads": 2}), ("wide", {"n_layers": 2})):
        with published_folder(paths.snapshots(name), paths.scratch) as folder:
            for step in range(5 if name == "wide" else 3):
                model = random_model(seed=step, n_ctx=N_CTX, **shape)
                save_snapshot(model, folder, step, tokens=step * 100 * len(name))
    return paths, config


def test_the_stage_writes_what_the_report_reads(study):
    paths, config = study
    main(paths, config)
    found = load_explored(paths.explorer, config.models)
    assert list(found.models) == ["narrow", "wide"]
    assert [len(passage.ids) for passage in found.passages] == [24, 24]
    narrow, wide = found.models["narrow"], found.models["wide"]
    assert narrow.tokens.tolist() == [0, 600, 1200]
    assert wide.tokens.tolist() == [0, 400, 800, 1200, 1600]
    assert wide.picked.tolist() == [0, 2, 4]
    assert narrow.patterns.shape == (3, 2, 1, 2, 24 * 25 // 2)
    assert wide.patterns.shape == (3, 2, 2, 4, 24 * 25 // 2)

    ids = np.array([passage.ids for passage in found.passages])
    third = random_model(seed=2, n_ctx=N_CTX)
    assert np.allclose(wide.losses[2], token_losses(third, ids), atol=1e-5)
    assert np.array_equal(wide.patterns[1], attention_patterns(third, ids))
    rows = wide.attention(1, 0, 1, 3).sum(axis=1)
    assert np.allclose(rows, 1, atol=24 * 0.5 / 255)


def test_the_stage_writes_the_same_bytes_again(study):
    paths, config = study
    main(paths, config)
    first = {path.name: path.read_bytes() for path in paths.explorer.iterdir()}
    main(paths, config)
    assert {path.name: path.read_bytes() for path in paths.explorer.iterdir()} == first
    assert set(first) == {"manifest.json", "passages.json", "narrow.npz", "wide.npz"}


def test_damaged_and_missing_data_are_named(study):
    paths, config = study
    with pytest.raises(StudyError, match=r"explorer.*missing"):
        load_explored(paths.explorer, config.models)
    main(paths, config)
    with pytest.raises(StudyError, match=r"other\.npz"):
        load_explored(paths.explorer, ["other"])
    (paths.explorer / "wide.npz").write_bytes(b"damaged")
    with pytest.raises(StudyError, match=r"wide\.npz: differs"):
        load_explored(paths.explorer, config.models)


def test_passages_longer_than_the_context_are_refused(tmp_path):
    params = (ROOT / "params" / "smoke.yaml").read_text()
    target = tmp_path / "params.yaml"
    target.write_text(params.replace("  tokens: 32 ", "  tokens: 65 "))
    with pytest.raises(StudyError, match=r"explorer\.tokens: at most model\.n_ctx: 64"):
        load_config(target)
