"""The older format of weights: converted as tensors alone, pinned, whole or not at all."""

import json
import os
import pickle
import shutil
import sys
from pathlib import Path

import pytest
import torch
from made_external import make_tokens, random_external, save_external, texts

from induction.config import ExternalModel
from induction.errors import StudyError
from induction.external import convert as command
from induction.external.convert import convert
from induction.external.revisions import find_revisions
from induction.external.weights import load_model


class Trap:
    """What a pickle can do: write a file as it is read."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.fixture
def older(tmp_path) -> Path:
    """A folder of one revision whose embedding is tied, as GPT-2's suites have it."""
    tokenizer = make_tokens(tmp_path / "tokens", texts(), tmp_path / "scratch")
    model = random_external("gpt2")
    folder = tmp_path / "older" / "step1"
    save_external(model, folder, tokenizer)
    (folder / "model.safetensors").unlink()
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


def converted(older: Path) -> Path:
    target = older.parents[1] / "converted"
    convert(str(older.parent), target, "step1", older.parents[1] / "hub" / "x")
    return target / "step1"


def loaded(folder: Path):
    entry = ExternalModel(
        source=folder.parent.name,
        revisions={folder.name: 1},
        batch_tokens=1,
        n_layers=3,
        device="cpu",
        dtype="float32",
    )
    assert find_revisions(folder.parents[1], entry).revisions
    return load_model(folder, entry, torch.device("cpu"))


def test_older_format_converted_is_the_same_model(older, capsys):
    folder = converted(older)
    tokens = torch.arange(1, 20)[None]
    ours = loaded(folder)
    found = ours.residual(tokens) @ ours.W_U
    torch.testing.assert_close(found, random_external("gpt2")(tokens).logits, atol=1e-4, rtol=1e-4)
    before = (folder / "manifest.json").read_bytes()
    converted(older)
    assert "is there, from the same weights" in capsys.readouterr().out
    assert (folder / "manifest.json").read_bytes() == before


def test_older_format_in_several_files(older):
    state = random_external("gpt2").state_dict()
    (older / "pytorch_model.bin").unlink()
    names = list(state)
    shards = [f"pytorch_model-0000{n}-of-00002.bin" for n in (1, 2)]
    for shard, held in zip(shards, (names[:9], names[9:]), strict=True):
        torch.save({name: state[name] for name in held}, older / shard)
    (older / "pytorch_model.bin.index.json").write_text("{}")
    ours = loaded(converted(older))
    torch.testing.assert_close(ours.W_E, random_external("gpt2").get_input_embeddings().weight)
    shutil.rmtree(older.parents[1] / "converted")
    (older / shards[0]).unlink()
    with pytest.raises(StudyError, match=r"has no whole pytorch_model\.bin"):
        converted(older)


def test_other_weights_under_the_same_name_are_told(older):
    converted(older)
    torch.save(random_external("gpt2", 1).state_dict(), older / "pytorch_model.bin")
    with pytest.raises(StudyError, match="not made from these weights: delete it"):
        converted(older)


def test_the_source_is_never_to_be_deleted(older):
    with pytest.raises(StudyError, match=r"older: is the source itself: name another folder$"):
        convert(str(older.parent), older.parent, "step1", older.parents[1] / "hub" / "x")
    (older.parents[1] / "converted" / "step1").mkdir(parents=True)
    with pytest.raises(StudyError, match="was not made by this: name another folder"):
        converted(older)


@pytest.mark.parametrize("wrapper", ["module.", "_orig_mod."])
def test_names_lose_what_a_wrapper_put_in_front(older, wrapper):
    state = random_external("gpt2").state_dict()
    wrapped = {f"{wrapper}{name}": value for name, value in state.items()}
    torch.save(wrapped, older / "pytorch_model.bin")
    assert loaded(converted(older)).spec.n_layers == 3


BAD = {
    "a trap": (lambda path, trap: torch.save({"a": Trap(trap)}, path), "holds more than tensors"),
    "a bare pickle": (
        lambda path, trap: path.write_bytes(pickle.dumps(Trap(trap))),
        "holds more than tensors",
    ),
    "not all tensors": (
        lambda path, _: torch.save({"a": torch.ones(2), "step": 3}, path),
        "step: not a tensor",
    ),
    "an optimizer's state": (
        lambda path, _: torch.save({"state": {"a": torch.ones(2)}}, path),
        "state: not a tensor",
    ),
    "a pointer": (
        lambda path, _: path.write_text("version https://git-lfs.github.com/spec/v1\noid x\n"),
        "a pointer of Git LFS, not weights: run `git lfs pull`",
    ),
    "a web page": (lambda path, _: path.write_text("<!DOCTYPE html>"), "is a web page"),
    "a sparse tensor": (
        lambda path, _: torch.save({"a": torch.eye(2).to_sparse()}, path),
        "a: a sparse tensor",
    ),
    "half a file": (
        lambda path, _: path.write_bytes(path.read_bytes()[:5000]),
        "damaged|more than tensors",
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_a_file_with_more_than_tensors_is_refused_and_runs_nothing(what, older):
    change, expected = BAD[what]
    trap = older.parent / "sprung"
    change(older / "pytorch_model.bin", trap)
    with pytest.raises(StudyError, match=expected) as refused:
        converted(older)
    assert "weights_only=False" not in str(refused.value)
    assert not trap.exists()
    assert not (older.parents[1] / "converted" / "step1").exists()


def test_the_command_that_a_refusal_names_is_the_way_out(older, tmp_path, monkeypatch, capsys):
    (tmp_path / "params.yaml").write_text(json.dumps({}))
    for name in ("dvc.yaml", "requirements.lock"):
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["convert", "older", "converted"])
    command.main()
    assert "converted/step1: 0 MB converted" in capsys.readouterr().out
    assert loaded(tmp_path / "converted" / "step1").spec.n_layers == 3
