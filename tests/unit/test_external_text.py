"""The study's windows of text in tokens of a model's own, and its losses on the study's tokens."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from made_external import D_VOCAB, make_tokens, random_external, texts
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from induction.config import Evaluation as Settings
from induction.data.tokenizer import begun, load_tokenizer, token_bytes
from induction.data.tokens import load_tokens
from induction.errors import StudyError
from induction.evaluation.evaluation_set import EvaluationSet, load_evaluation
from induction.evaluation.grid import Grid
from induction.external.adapter import AdaptedModel
from induction.external.evaluation import (
    encode_within,
    external_evaluation,
    load_own_tokenizer,
    token_texts,
    tokens_in_text,
)
from induction.measure import losses

N_CTX = 48
SETTINGS = Settings(
    examples=24,
    tokens_per_example=3,
    early=(4, 7),
    late=(40, 47),
    pattern_examples=4,
    probe_sequences=6,
    probe_repeats=3,
    probe_period=(4, 8),
    probe_vocab_quantiles=(0.1, 0.9),
    seed=0,
)


def other_bpe(d_vocab: int) -> Tokenizer:
    """Byte-level as GPT-2's: words after spaces, what would trim the ends of tokens included."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=d_vocab, special_tokens=["<|end|>"], initial_alphabet=alphabet
    )
    tokenizer.train_from_iterator(texts(seed=1), trainer)
    return tokenizer


def sentence_pieces() -> Tokenizer:
    """As Llama 2's: a mark for spaces put before the text, bytes for unknown characters."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    special = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special)
    tokenizer.train_from_iterator([text.replace(" ", "▁") for text in texts(seed=1)], trainer)
    return tokenizer


def llama_pieces() -> Tokenizer:
    """As Llama 2's to the end: pieces begin at spaces, bytes are no special tokens, and what is
    put before a text is taken off again when it is read back."""
    tokenizer = sentence_pieces()
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    special = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special)
    lines = [line.replace(" ", "▁") for text in texts(seed=1) for line in text.split("\n")]
    tokenizer.train_from_iterator(lines, trainer)
    tokenizer.decoder = decoders.Sequence(
        [
            *(decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()),
            decoders.Strip(content=" ", left=1),
        ]
    )
    state = json.loads(tokenizer.to_str())
    state["pre_tokenizer"] = None
    state["added_tokens"] = state["added_tokens"][:1]
    return Tokenizer.from_str(json.dumps(state))


TOKENIZERS = {
    "bytes": lambda: other_bpe(257),
    "long": lambda: other_bpe(900),
    "pieces": sentence_pieces,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("tokens")
    make_tokens(root / "tokens", texts(), root / "scratch")
    return root / "tokens"


@pytest.fixture(params=TOKENIZERS)
def tokenizer(request, tmp_path) -> Tokenizer:
    TOKENIZERS[request.param]().save(str(tmp_path / "tokenizer.json"))
    return load_own_tokenizer(tmp_path / "tokenizer.json")


def grid_of(evaluation: EvaluationSet) -> Grid:
    assert evaluation.grid is not None
    return evaluation.grid


def read(folder, tokenizer, longest=10_000, n_ctx=N_CTX, settings=SETTINGS):
    return external_evaluation(folder, tokenizer, 0, longest, n_ctx, settings)


def test_the_windows_are_the_studys_and_begin_and_end_at_whole_characters(folder, tokenizer):
    ours = load_evaluation(folder, N_CTX, SETTINGS)
    theirs = read(folder, tokenizer)
    pieces, cut = token_bytes(load_tokenizer(folder)), 0
    np.testing.assert_array_equal(theirs.kept, ours.kept)
    assert theirs.characters_per_token == ours.characters_per_token
    assert (theirs.tokens[:, 0] == 0).all()
    stream = b"".join(pieces[token] for token in load_tokens(folder, "valid"))
    for example, row in enumerate(ours.tokens.numpy()):
        window = b"".join(pieces[token] for token in row)
        start, ends = grid_of(theirs).starts[example], grid_of(theirs).ends[example]
        assert -3 <= start <= 0
        assert len(window) <= ends[-1] <= len(window) + 3
        cut += start < 0 or ends[-1] > len(window)
        read_text = tokenizer.decode(theirs.tokens[example, 1 : 1 + len(ends)].tolist())
        # Pieces put spaces where they are joined: all but spaces must be there.
        assert _solid(window.decode(errors="ignore")) in _solid(read_text)
        assert window in stream
        sizes = [len(pieces[token]) for token in row]
        np.testing.assert_array_equal(grid_of(theirs).edges[example], np.cumsum(sizes))
        assert (np.diff(ends) >= 0).all()
    assert cut > 3  # some windows do cut characters


def _solid(text: str) -> str:
    return "".join(text.replace("▁", " ").split())


def test_the_sum_of_losses_over_a_text_stays_and_goes_to_the_bytes_that_they_are_of(
    folder, tokenizer
):
    evaluation = read(folder, tokenizer)
    random = np.random.default_rng(0)
    table = random.random((24, evaluation.tokens.shape[1] - 1)).astype(np.float32)
    found = evaluation.at_tokens(table)
    assert found.shape == (24, N_CTX)
    grid = grid_of(evaluation)
    for row, got, start, ends, edges in zip(
        table, found, grid.starts, grid.ends, grid.edges, strict=True
    ):
        of_byte, last = np.zeros(ends[-1] - start), start
        for end in np.unique(ends[ends > start]):
            # Tokens that are parts of one character count where it ends.
            of_byte[last - start : end - start] = row[: len(ends)][ends == end].sum() / (end - last)
            last = end
        expected = [of_byte[a - start : b - start].sum() for a, b in pairwise(edges)]
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
        inside = row[: len(ends)].sum() - of_byte[: edges[0] - start].sum()
        assert got.sum() == pytest.approx(inside - of_byte[edges[-1] - start :].sum(), rel=1e-4)


def test_the_studys_own_tokenizer_gives_each_token_its_own_loss(tmp_path):
    """Where the model cuts the text as the study does, nothing moves."""
    plain = [text.encode("ascii", "ignore").decode() for text in texts()]
    make_tokens(tmp_path / "tokens", plain, tmp_path / "scratch")
    own = load_own_tokenizer(tmp_path / "tokens" / "tokenizer.json")
    theirs, ours = (
        read(tmp_path / "tokens", own),
        load_evaluation(tmp_path / "tokens", N_CTX, SETTINGS),
    )
    table = np.arange(theirs.tokens.shape[1] - 1, dtype=np.float32)[None].repeat(24, 0)
    alike = [
        got
        for read_row, row, got in zip(
            theirs.tokens[:, 1:], ours.tokens, theirs.at_tokens(table), strict=True
        )
        if torch.equal(read_row[: N_CTX + 1], row)
    ]
    assert len(alike) > 5
    np.testing.assert_allclose(alike, [np.arange(1, N_CTX + 1)] * len(alike), rtol=1e-4)


def test_text_after_the_window_changes_no_loss(folder, tokenizer):
    evaluation = read(folder, tokenizer)
    model = AdaptedModel(random_external("gpt_neox"))
    tokens = evaluation.tokens % D_VOCAB
    before = losses.token_losses(model, _with(evaluation, tokens))
    for row, ends in zip(tokens, grid_of(evaluation).ends, strict=True):
        row[1 + len(ends) :] = 7
    after = losses.token_losses(model, _with(evaluation, tokens))
    np.testing.assert_allclose(before, after, atol=1e-4)


def _with(evaluation, tokens):
    return type(evaluation)(**{**vars(evaluation), "tokens": tokens.clone()})


def test_models_of_different_vocabularies_that_know_nothing_agree_per_character(folder):
    """All bytes alike: ln 256 a byte, however they are joined to tokens."""
    found = []
    for kind in ("bytes", "long"):
        tokenizer = TOKENIZERS[kind]()
        path = folder.parent / f"{kind}.json"
        tokenizer.save(str(path))
        evaluation = read(folder, load_own_tokenizer(path))
        table = np.zeros((24, evaluation.tokens.shape[1] - 1), np.float32)
        for row, start, ends in zip(
            table, grid_of(evaluation).starts, grid_of(evaluation).ends, strict=True
        ):
            row[: len(ends)] = np.diff(np.append(start, ends)) * np.log(256)
        on_grid = evaluation.at_tokens(table)
        found.append(float(on_grid.mean() / evaluation.characters_per_token))
    ours, pieces = load_evaluation(folder, N_CTX, SETTINGS), token_bytes(load_tokenizer(folder))
    scored = b"".join(pieces[token] for token in ours.tokens[:, 1:].flatten())
    expected = len(scored) * np.log(256) / begun(scored).sum()
    assert found == pytest.approx([expected, expected], rel=1e-4)


def test_probes_are_tokens_of_the_model_that_stand_in_the_text(folder, tokenizer):
    probes = read(folder, tokenizer).probes
    pieces = token_bytes(load_tokenizer(folder))
    text = b"".join(pieces[token] for token in load_tokens(folder, "valid")).decode()
    there = set(tokenizer.encode(text, add_special_tokens=False).ids)
    for row, period in zip(probes.tokens.numpy(), probes.periods, strict=True):
        segment = row[1 : 1 + period]
        assert row[0] == 0
        assert set(segment.tolist()) <= there
        assert len(set(segment.tolist())) == period
        assert np.array_equal(row[1 : 1 + 3 * period], np.tile(segment, 3))


def test_a_start_token_in_the_text_is_read_as_text(folder, tmp_path):
    other_bpe(400).save(str(tmp_path / "tokenizer.json"))
    tokenizer = load_own_tokenizer(tmp_path / "tokenizer.json")
    assert 0 not in tokenizer.encode("a <|end|> b", add_special_tokens=False).ids


@pytest.mark.parametrize("kind", ["long", "pieces"])
def test_parts_of_a_prompt_are_encoded_as_if_they_stood_in_a_text(kind, tmp_path):
    made = other_bpe(900) if kind == "long" else llama_pieces()
    made.save(str(tmp_path / "tokenizer.json"))
    tokenizer = load_own_tokenizer(tmp_path / "tokenizer.json")
    parts = ["return", " value", ":", " =", ",", "\n", " naïve", "self", "\n"]
    whole = tokenizer.encode("x" + "".join(parts), add_special_tokens=False).ids
    found = [token for part in parts for token in encode_within(tokenizer, part)]
    assert found == whole[-len(found) :]
    if kind == "pieces":
        assert len(tokenizer.encode(":").ids) > len(encode_within(tokenizer, ":")) == 1


@pytest.mark.parametrize("kind", ["long", "pieces"])
def test_tokens_read_as_within_a_text(kind, tmp_path):
    made = other_bpe(900) if kind == "long" else llama_pieces()
    made.save(str(tmp_path / "tokenizer.json"))
    tokenizer = load_own_tokenizer(tmp_path / "tokenizer.json")
    found = token_texts(tokenizer)
    for text in (" value", "value", " return", "=", "\n"):
        tokens = encode_within(tokenizer, text)
        assert "".join(found[token] for token in tokens) == text
    assert found[encode_within(tokenizer, " value")[0]].startswith(" ")


def test_a_newline_that_is_one_token_with_the_next_is_encoded_alone():
    tokenizer = Tokenizer(models.BPE({"\n": 0, "\n\n": 1}, [("\n", "\n")]))
    assert encode_within(tokenizer, "\n") == [0]


def test_ids_may_have_gaps_and_the_start_token_may_be_beyond_them(folder, tmp_path):
    made = other_bpe(400)
    state = json.loads(made.to_str())
    last = max(state["model"]["vocab"], key=state["model"]["vocab"].get)
    state["model"]["vocab"][last] = 450
    tokenizer = Tokenizer.from_str(json.dumps(state))
    assert len(token_texts(tokenizer)) == 451 > tokenizer.get_vocab_size()
    ranked = tokens_in_text(folder, tokenizer, 5000)
    assert ranked.max() <= 450
    assert set(tokens_in_text(folder, tokenizer, int(ranked[-1]))) == set(ranked[:-1].tolist())


def test_windows_longer_than_the_model_reads_are_refused(folder, tokenizer):
    with pytest.raises(StudyError, match=r"which reads at most 20: shorten model\.n_ctx"):
        read(folder, tokenizer, longest=20)


def words_of(known: list[str], unknown: str | None) -> Tokenizer:
    listed = [*known, unknown] if unknown else known
    vocabulary = {word: place for place, word in enumerate(listed)}
    words = Tokenizer(
        models.WordLevel(vocabulary, unknown) if unknown else models.WordLevel(vocabulary)
    )
    words.pre_tokenizer = pre_tokenizers.Whitespace()  # pyright: ignore[reportAttributeAccessIssue]
    return words


@pytest.mark.parametrize("unknown", ["[UNK]", None])
def test_a_tokenizer_that_cannot_write_the_text_is_refused(folder, unknown):
    with pytest.raises(StudyError, match=r"its tokenizer cannot write .*the validation text"):
        read(folder, words_of(["the", "def"], unknown))


def test_a_damaged_tokenizer_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(StudyError, match=r"tokenizer\.json: not a tokenizer"):
        load_own_tokenizer(tmp_path / "tokenizer.json")


def test_a_token_spread_over_three_gives_each_its_share_of_bytes():
    grid = Grid((0,), (np.array([2, 8]),), np.array([[2, 3, 5, 8]]))
    found = grid.collect(np.array([[9.0, 6.0]], np.float32), 0)
    np.testing.assert_allclose(found, [[1.0, 2.0, 3.0]])
