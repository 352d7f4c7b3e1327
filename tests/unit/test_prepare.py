"""From data/raw to data/tokens: which documents, which tokens, and that they stay the same."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

from induction.config import load_config
from induction.data.documents import collect_documents, split_documents
from induction.data.tokenizer import encode_documents, load_tokenizer, train_tokenizer
from induction.data.tokens import (
    document_starts,
    load_meta,
    load_tokens,
    training_windows,
)
from induction.errors import StudyError
from induction.files import published_folder
from induction.paths import StudyPaths
from induction.stages.prepare import main

ROOT = Path(__file__).parents[2]
D_VOCAB = 400


def function(number: int) -> str:
    """A document that no other equals."""
    return "".join(
        f"def compute_{number}_{part}(values):\n    return sum(values) * {number * part}\n\n"
        for part in range(8)
    )


def write_wheel(path: Path, members: Mapping[str, str | bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in members.items():
            wheel.writestr(zipfile.ZipInfo(name), content)  # with a date that is always the same


def make_study(root: Path, wheels: dict[str, dict], files: dict[str, str | bytes]) -> StudyPaths:
    """A study whose data/raw holds these wheels and own files, as the fetch stage leaves them."""
    root.mkdir()
    (root / "dvc.yaml").touch()
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(ROOT / "params" / "smoke.yaml")
    values["corpus"] |= {"min_characters": 100, "max_line_length": 200, "seed": 0}
    values["corpus"] |= {"validation_fraction": 0.1}
    values["tokenizer"] = {"d_vocab": D_VOCAB}
    yaml.dump(values, root / "params.yaml")
    paths = StudyPaths(root)
    with published_folder(paths.raw, paths.scratch) as raw:
        for name, members in wheels.items():
            write_wheel(raw / "wheels" / name, members)
        for name, content in files.items():
            (raw / "files").mkdir(exist_ok=True)
            data = content if isinstance(content, bytes) else content.encode()
            (raw / "files" / name).write_bytes(data)
    return paths


def make_corpus(root: Path) -> StudyPaths:
    wheel = {f"pkg/m{number}.py": function(number) for number in range(50)}
    own = "naïve résumé 漢字 🙂 <|start|> and no more\n" * 6
    return make_study(root, {"pkg-1.0-py3-none-any.whl": wheel}, {"000000-own.txt": own})


def prepare(paths: StudyPaths) -> None:
    main(paths, load_config(paths.params))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> StudyPaths:
    paths = make_corpus(tmp_path_factory.mktemp("corpus") / "study")
    prepare(paths)
    return paths


def documents_of(paths: StudyPaths, split) -> list[str]:
    """What the token stream of a split says, document by document."""
    tokens, tokenizer = load_tokens(paths.tokens, split), load_tokenizer(paths.tokens)
    starts = document_starts(tokens)
    assert starts.dtype == np.int64
    assert starts[0] == 0
    return [
        tokenizer.decode(part[1:].tolist(), skip_special_tokens=False)
        for part in np.split(tokens, starts[1:])
    ]


def test_streams_hold_every_document_once_and_whole(corpus):
    train, valid = documents_of(corpus, "train"), documents_of(corpus, "valid")
    own = (corpus.raw / "files" / "000000-own.txt").read_text(encoding="utf-8")
    assert sorted(train + valid) == sorted([own, *map(function, range(50))])
    assert len(valid) == 5
    assert not set(train) & set(valid)


def test_meta_counts_what_is_on_disk(corpus):
    meta = load_meta(corpus.tokens)
    train, valid = load_tokens(corpus.tokens, "train"), load_tokens(corpus.tokens, "valid")
    assert train.dtype == np.uint16
    assert not train.flags.writeable
    assert (meta.train_tokens, meta.valid_tokens) == (len(train), len(valid))
    assert (meta.train_documents, meta.valid_documents) == (46, 5)
    assert meta.d_vocab == load_tokenizer(corpus.tokens).get_vocab_size() == D_VOCAB
    assert max(train.max(), valid.max()) < D_VOCAB
    characters = meta.train_characters + meta.valid_characters
    assert characters == sum(
        len(text) for s in ("train", "valid") for text in documents_of(corpus, s)
    )
    assert meta.characters_per_token == pytest.approx(characters / (len(train) + len(valid)))
    assert [(s.name, s.documents) for s in meta.sources] == [
        ("files/000000-own.txt", 1),
        ("wheels/pkg-1.0-py3-none-any.whl", 50),
    ]


def test_second_run_gives_the_same_bytes_with_any_number_of_threads(corpus, tmp_path):
    again = make_corpus(tmp_path / "study")
    for threads in ("1", "3"):
        run = subprocess.run(
            [sys.executable, "-m", "induction.stages.prepare"],
            cwd=again.root,
            env=os.environ | {"RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true"},
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        for path in corpus.tokens.iterdir():
            assert (again.tokens / path.name).read_bytes() == path.read_bytes(), path.name


def test_seed_changes_the_order_and_the_split(corpus):
    documents = collect_documents(corpus.raw, 100, 200).documents
    first, second = (split_documents(documents, 0.1, seed) for seed in (0, 1))
    assert first[1] != second[1]
    assert sorted(d.name for part in second for d in part) == sorted(d.name for d in documents)
    assert split_documents(documents, 0.001, 0)[1] != []
    assert split_documents(documents, 0.999, 0)[0] != []


def test_validation_text_teaches_the_tokenizer_nothing(corpus):
    train = documents_of(corpus, "train")
    expected = train_tokenizer(train, D_VOCAB).to_str()
    assert load_tokenizer(corpus.tokens).to_str() == expected


def test_each_reason_to_drop_is_counted(tmp_path):
    good = function(1)
    members = {
        "a/kept.py": good,
        "a/crlf_duplicate.py": good.replace("\n", "\r\n"),
        "a/bom_duplicate.py": b"\xef\xbb\xbf" + good.encode(),
        "a/latin.py": good.encode() + b"# \xe9\n",
        "a/short.py": "x" * 99,
        "a/just_long_enough.py": "x" * 100,
        "a/line_fits.py": "x" * 200 + "\n" + function(2),
        "a/line_too_long.py": "x" * 201 + "\n" + function(3),
        "a/huge.py": "x = 1\n" * 400_000,
        "a/data.json": good * 2,
        "g/one.py": "# Generated by a program\n" + function(4),
        "g/two.py": '"""Doc."""\n  # AUTO-GENERATED file\n' + function(5),
        "g/three.py": "#autogenerated\n" + function(6),
        "g/four.py": "#!/bin/sh\n# Please DO NOT EDIT.\n" + function(7),
        "h/docstring.py": '"""Lists values generated by a program. Do not edit lightly."""\n'
        + good,
        "h/regenerated.py": "# can be regenerated\n" + good,
        "h/late_comment.py": "\n" * 10 + "# generated\n" + good,
    }
    write_wheel(tmp_path / "wheels" / "p.whl", members)
    collection = collect_documents(tmp_path, min_characters=100, max_line_length=200)
    assert collection.dropped == {
        "too_large": 1,
        "not_utf8": 1,
        "too_short": 1,
        "long_line": 1,
        "generated": 4,
        "duplicate": 2,
    }
    assert [document.name for document in collection.documents] == [
        "a/bom_duplicate.py",  # the first of the three by name
        "a/just_long_enough.py",
        "a/line_fits.py",
        "h/docstring.py",
        "h/late_comment.py",
        "h/regenerated.py",
    ]
    assert collection.documents[0].text == good


def test_order_comes_from_names_not_from_the_archive(tmp_path):
    members = {f"m{number}.py": function(number) for number in range(5)}
    write_wheel(tmp_path / "one" / "wheels" / "p.whl", members)
    write_wheel(tmp_path / "two" / "wheels" / "p.whl", dict(reversed(members.items())))
    one, two = (collect_documents(tmp_path / name, 1, 200).documents for name in ("one", "two"))
    assert one == two


@pytest.mark.parametrize("name", ["../evil.py", "/evil.py", "a/../../evil.txt", "..\\evil.py"])
def test_member_outside_the_wheel_is_refused(tmp_path, name):
    write_wheel(tmp_path / "wheels" / "p.whl", {"a.py": function(1), name: "x"})
    with pytest.raises(StudyError, match=r"p\.whl: member .* lies outside the wheel"):
        collect_documents(tmp_path, 1, 200)


def test_damaged_wheel_is_named(tmp_path):
    path = tmp_path / "wheels" / "p.whl"
    write_wheel(path, {"a.py": function(1)})
    path.write_bytes(path.read_bytes().replace(b"compute_1_0", b"compute_9_9"))
    with pytest.raises(StudyError, match=r"p\.whl: not a readable zip file"):
        collect_documents(tmp_path, 1, 200)
    path.write_bytes(b"no zip")
    with pytest.raises(StudyError, match=r"p\.whl: not a readable zip file"):
        collect_documents(tmp_path, 1, 200)


def test_wheels_that_unpack_to_too_much_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("induction.data.documents._MAX_TOTAL_BYTES", 1000)
    write_wheel(tmp_path / "wheels" / "p.whl", {f"{n}.py": function(n) for n in range(9)})
    with pytest.raises(StudyError, match=r"p\.whl: with it the wheels unpack to over"):
        collect_documents(tmp_path, 1, 200)


def test_tokenizer_writes_any_text_and_reads_it_back():
    tokenizer = train_tokenizer(map(function, range(50)), D_VOCAB)
    texts = ["", "  two  spaces\t\n\n", "naïve 漢字 🙂 \x00 \u200d", "<|start|>", "a<|start|> b"]
    for text, ids in zip(texts, encode_documents(tokenizer, texts), strict=True):
        assert ids.dtype == np.uint16
        assert ids[0] == 0
        assert 0 not in ids[1:]
        assert tokenizer.decode(ids[1:].tolist(), skip_special_tokens=False) == text


def test_loaded_tokenizer_takes_the_start_text_for_text_too(corpus):
    assert 0 not in load_tokenizer(corpus.tokens).encode("<|start|>").ids


def test_training_windows_predict_each_token_at_most_once():
    stream = np.arange(1000, dtype=np.uint16)
    starts = training_windows(stream, n_ctx=32, seed=5)
    assert starts.dtype == np.int64
    assert len(starts) == 31
    targets = np.concatenate([stream[start + 1 : start + 33] for start in starts])
    assert len(targets) == 31 * 32  # no window runs over the end
    assert len(np.unique(targets)) == len(targets)
    assert not np.array_equal(starts, np.sort(starts))
    assert np.array_equal(starts, training_windows(stream, 32, 5))
    assert not np.array_equal(starts, training_windows(stream, 32, 6))
    assert np.array_equal(starts[::-1], training_windows(stream, 32, 5, reverse=True))
    own = training_windows(stream, 32, (5, 1))
    assert not np.array_equal(own, starts)
    assert np.array_equal(np.sort(own), np.sort(starts))


def test_one_window_needs_n_ctx_and_one_tokens():
    assert training_windows(np.zeros(33, np.uint16), 32, 0).tolist() == [0]
    with pytest.raises(StudyError, match=r"model\.n_ctx: 32: .* only 32 tokens"):
        training_windows(np.zeros(32, np.uint16), 32, 0)


def test_too_few_documents_and_too_little_text_are_one_line(tmp_path):
    one = make_study(tmp_path / "one", {}, {"000000-a.txt": function(1)})
    with pytest.raises(StudyError, match="at least one each"):
        prepare(one)
    two = make_study(tmp_path / "two", {}, {"0-a.txt": "ab " * 50, "1-b.txt": "cd " * 50})
    with pytest.raises(StudyError, match=r"tokenizer\.d_vocab: 400: .* too small") as caught:
        prepare(two)
    assert "\n" not in str(caught.value)
    assert not two.tokens.exists()


def test_missing_and_damaged_raw_data_are_named(tmp_path):
    paths = make_study(tmp_path / "study", {}, {"0-a.txt": function(1), "1-b.txt": function(2)})
    (paths.raw / "files" / "0-a.txt").write_text("changed")
    with pytest.raises(StudyError, match=r"0-a\.txt: differs from its manifest"):
        prepare(paths)
    with pytest.raises(StudyError, match="missing"):
        prepare(StudyPaths(tmp_path))


def test_missing_and_damaged_tokens_are_named(tmp_path):
    paths = make_corpus(tmp_path / "study")
    with pytest.raises(StudyError, match=r"meta\.json: missing"):
        load_tokens(paths.tokens, "train")
    prepare(paths)
    stream = paths.tokens / "train.bin"
    stream.write_bytes(stream.read_bytes()[:-1])
    with pytest.raises(StudyError, match=r"train\.bin: damaged"):
        load_tokens(paths.tokens, "train")
    stream.unlink()
    with pytest.raises(StudyError, match=r"train\.bin: missing"):
        load_tokens(paths.tokens, "train")
    (paths.tokens / "tokenizer.json").write_text("{}")
    with pytest.raises(StudyError, match=r"tokenizer\.json: damaged") as caught:
        load_tokenizer(paths.tokens)
    assert "\n" not in str(caught.value)
    (paths.tokens / "meta.json").write_text("{}")
    with pytest.raises(StudyError, match=r"meta\.json: d_vocab: "):
        load_meta(paths.tokens)
