"""Text of a dataset hub: shards that can be gone on with, and the documents in them.

What streams needs the package datasets: `make test-extras`. It reads local folders here.
"""

import json
import sys
from pathlib import Path

import pytest
from test_prepare import documents_of, function, make_study, prepare

from induction.config import Dataset
from induction.data import hub
from induction.data.documents import collect_documents
from induction.data.hub import fetch_dataset, link_shards, read_line, shard_lines
from induction.data.tokenizer import train_tokenizer
from induction.errors import StudyError
from induction.files import seal, sha256

SETTINGS = Dataset(
    source="texts", config=None, revision=None, split="train", text="body", characters=10_000
)


def documents(count: int) -> list[str]:
    return [f"{function(number)} é漢🙂\r\n" for number in range(count)]


@pytest.fixture
def root(tmp_path) -> Path:
    """A folder with a dataset of two files, 40 documents of about 400 characters."""
    (tmp_path / "texts").mkdir()
    texts = documents(40)
    for part in range(2):
        lines = [json.dumps({"body": text, "id": 1}) for text in texts[part * 20 :][:20]]
        (tmp_path / "texts" / f"{part}.jsonl").write_text("\n".join(lines))
    return tmp_path


def fetched(root: Path, **changes) -> list[str]:
    pytest.importorskip("datasets")
    settings = SETTINGS.model_copy(update=changes)
    shards = fetch_dataset("web", settings, root, root / "cache")
    return [read_line(path, *place) for path in shards for place in shard_lines(path)]


def test_whole_documents_come_until_there_are_enough_characters(root):
    texts = fetched(root)
    assert texts == documents(40)[: len(texts)]
    total = sum(map(len, texts))
    assert total >= 10_000 > total - len(texts[-1])


def test_a_dataset_that_ends_is_taken_whole(root):
    assert fetched(root, characters=10**9) == documents(40)


def test_stopped_it_goes_on_after_the_last_whole_shard(root, monkeypatch):
    monkeypatch.setattr(hub, "_SHARD_CHARACTERS", 3_000)
    straight = fetched(root, characters=12_000)
    monkeypatch.setattr(hub, "_SHARD_CHARACTERS", 2_000)
    real, calls = hub._write_shard, []

    def stopped(*arguments):
        if len(calls) == 3:
            raise KeyboardInterrupt
        calls.append(arguments)
        return real(*arguments)

    folder = root / "elsewhere"
    folder.mkdir()
    (root / "texts").rename(folder / "texts")
    monkeypatch.setattr(hub, "_write_shard", stopped)
    with pytest.raises(KeyboardInterrupt):
        fetched(folder, characters=12_000)
    before = {path: sha256(path) for path in (folder / "cache").rglob("*.jsonl")}
    assert len(before) == 3
    monkeypatch.setattr(hub, "_write_shard", real)
    assert fetched(folder, characters=12_000) == straight
    assert {path: sha256(path) for path in before} == before


def test_a_local_folder_that_changes_is_read_anew(root):
    assert fetched(root, characters=10**9) == documents(40)
    (root / "texts" / "1.jsonl").write_text(json.dumps({"body": "new"}))
    assert fetched(root, characters=10**9) == [*documents(20), "new"]


def test_a_damaged_shard_is_fetched_again(root):
    whole = fetched(root)
    (shard,) = (root / "cache").rglob("*.jsonl")
    shard.write_text("half")
    assert fetched(root) == whole


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": "txt"}, "corpus.datasets.web.text: no column 'txt': there are body, id"),
        ({"split": "dev"}, "corpus.datasets.web: no such dataset, revision, config or split"),
        ({"config": "de"}, "corpus.datasets.web: no such dataset, revision, config or split"),
        ({"source": "nobody/nothing"}, "corpus.datasets.web.source: no such folder: "),
        ({"source": "texts/0.jsonl"}, "corpus.datasets.web.source: "),
    ],
)
def test_what_is_not_there_is_one_line(root, changes, message):
    with pytest.raises(StudyError) as error:
        fetched(root, **changes)
    assert str(error.value).startswith(f"params.yaml: {message}")
    assert "\n" not in str(error.value)


def test_no_hub_in_reach_is_one_line(root, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(StudyError, match=r"corpus\.datasets\.web: .*check the network") as error:
        fetched(root, source="nobody/nothing", revision="v1")
    assert "\n" not in str(error.value)


def test_without_the_package_a_line_says_how_to_get_it(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(StudyError, match=r"web: needs the package datasets: run `make setup"):
        fetch_dataset("web", SETTINGS, root, root / "cache")


def test_headings_and_paragraphs_of_a_dataset_are_prose(tmp_path):
    texts = [f"# How text {n} is generated\n\n" + f"{n} word " * 200 for n in range(3)]
    write_shard(tmp_path / "datasets" / "web" / "00000.jsonl", texts)
    found = collect_documents(tmp_path, 400, 500)
    assert [document.text for document in found.documents] == texts


def write_shard(path: Path, texts: list[str]) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(text) + "\n" for text in texts))
    return path


def test_texts_of_shards_are_documents_like_others(tmp_path):
    texts = [function(1), "short", function(1), "é\r\n" * 100, "\ud800" * 200, function(2)]
    shard = write_shard(tmp_path / "cache" / "00000.jsonl", texts)
    link_shards([shard], tmp_path / "raw" / "datasets" / "web")
    found = collect_documents(tmp_path / "raw", 100, 300)
    assert [document.text for document in found.documents] == [
        function(1),
        "é\n" * 100,
        function(2),
    ]
    assert [d.characters for d in found.documents] == [len(d.text) for d in found.documents]
    assert {d.source for d in found.documents} == {"datasets/web/00000.jsonl"}
    dropped = {why: count for why, count in found.dropped.items() if count}
    assert dropped == {"too_short": 1, "duplicate": 1, "not_utf8": 1}


def test_a_shard_that_holds_no_texts_is_named(tmp_path):
    path = tmp_path / "raw" / "datasets" / "web" / "00000.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text('{"a": 1}\n')
    with pytest.raises(StudyError, match=r"00000\.jsonl: not a text at byte 0"):
        collect_documents(tmp_path / "raw", 1, 100)


def test_prepare_reads_shards_as_it_reads_files(tmp_path):
    texts = [function(number) for number in range(50)]
    sharded = make_study(tmp_path / "sharded", {}, {"000000.txt": texts[0]})
    link_shards(
        [write_shard(tmp_path / "cache" / "00000.jsonl", texts[1:])],
        sharded.raw / "datasets" / "web",
    )
    (sharded.raw / "manifest.json").unlink()
    seal(sharded.raw, {})
    prepare(sharded)
    assert sorted(documents_of(sharded, "train") + documents_of(sharded, "valid")) == sorted(texts)


def test_the_tokenizer_learns_from_the_first_so_many_characters(monkeypatch):
    texts = documents(30)
    monkeypatch.setattr("induction.data.tokenizer._LEARN_FROM", len("".join(texts[:10])))
    assert train_tokenizer(texts, 300).to_str() == train_tokenizer(texts[:10], 300).to_str()
    assert train_tokenizer(texts, 300).to_str() != train_tokenizer(texts[20:], 300).to_str()
