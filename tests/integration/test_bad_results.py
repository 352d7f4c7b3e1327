"""Bad tokens, weights, manifests and measurements, though every manifest agrees with them."""

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from generated import some
from hypothesis import given
from hypothesis import strategies as st
from refusals import ROOT, message_of, refusal
from ruamel.yaml import YAML
from safetensors.torch import load_file, save_file

from induction.config import StudyConfig, load_config
from induction.data.tokenizer import load_tokenizer, train_tokenizer
from induction.data.tokens import load_meta, load_tokens
from induction.files import MANIFEST, read_json, seal, verify_folder, write_json
from induction.files.tables import read_table
from induction.model.transformer import Transformer, TransformerSpec, initialise
from induction.model.weights import load_snapshot, save_snapshot
from induction.paths import StudyPaths
from induction.rules.curves import load_curves
from induction.stages import measure, prepare, summarize, train

MODEL = "attn-1l"
GENERATED = {"weights": 60, "json": 60, "tables": 60}


def measure_one(paths: StudyPaths, config: StudyConfig) -> None:
    measure.main(paths, config, MODEL)


def train_one(paths: StudyPaths, config: StudyConfig) -> None:
    train.main(paths, config, MODEL)


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A study of one model, with tokens, one snapshot and made measurements."""
    root = tmp_path_factory.mktemp("template") / "study"
    paths = StudyPaths(root)
    (root / "data").mkdir(parents=True)
    (root / "src").symlink_to(ROOT / "src")
    shutil.copyfile(ROOT / "dvc.yaml", paths.pipeline)
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(ROOT / "params" / "smoke.yaml")
    values["models"], values["llc"]["models"] = {MODEL: values["models"][MODEL]}, []
    yaml.dump(values, paths.params)
    config = load_config(paths.params)
    make_tokens(paths.tokens, config)
    make_snapshot(paths.snapshots(MODEL), config)
    make_measurements(paths.measurements(MODEL), config)
    paths.ablations(MODEL).mkdir(parents=True)
    seal(paths.ablations(MODEL), {})
    return root


def make_tokens(folder: Path, config: StudyConfig) -> None:
    folder.mkdir()
    texts = [path.read_text() for path in sorted((ROOT / "src").rglob("*.py"))]
    tokenizer = train_tokenizer(texts, config.tokenizer.d_vocab)
    tokenizer.save(str(folder / "tokenizer.json"))
    random = np.random.default_rng(0)
    sizes = {"train": 60_000, "valid": 4_000}
    for split, size in sizes.items():
        tokens = random.integers(1, config.tokenizer.d_vocab, size).astype("<u2")
        tokens[::500] = 0
        tokens.tofile(folder / f"{split}.bin")
    counts = {
        f"{split}_{what}": size // by
        for split, size in sizes.items()
        for what, by in (("documents", 500), ("characters", 1), ("tokens", 1))
    }
    write_json(
        folder / "meta.json",
        {
            **counts,
            "d_vocab": config.tokenizer.d_vocab,
            "start_token": 0,
            "characters_per_token": 1.0,
            "dropped": {},
            "sources": [{"name": "a", "sha256": "0" * 64, "documents": 1, "characters": 1}],
        },
    )
    seal(folder, {})


def make_snapshot(folder: Path, config: StudyConfig) -> None:
    folder.mkdir(parents=True)
    entry, shape = config.models[MODEL], config.model
    spec = TransformerSpec(
        n_layers=entry.n_layers,
        d_model=shape.d_model,
        n_heads=shape.n_heads,
        d_mlp=shape.d_mlp,
        n_ctx=shape.n_ctx,
        d_vocab=config.tokenizer.d_vocab,
        attn_only=entry.attn_only,
        smeared_keys=entry.smeared_keys,
        position_base=shape.position_base,
    )
    model = Transformer(spec)
    initialise(model, 0, 0.3)
    save_snapshot(model, folder, 0, 0)
    seal(folder, {})


def arrays(config: StudyConfig) -> dict[str, np.ndarray]:
    rows, ev = 3, config.evaluation
    random = np.random.default_rng(0)
    return {
        "step": np.arange(rows),
        "tokens": np.arange(rows) * 512,
        "early": random.random((rows, ev.examples), np.float32),
        "late": random.random((rows, ev.examples), np.float32),
        "per_index": random.random((rows, config.model.n_ctx), np.float32),
        "per_token": random.random((rows, ev.examples * ev.tokens_per_example), np.float32),
        "prefix_sequences": random.random((rows, 1, 4, ev.probe_sequences), np.float32),
    }


def heads() -> pl.DataFrame:
    rows = [(step, step * 512, 0, head, 0.1) for step in range(3) for head in range(4)]
    return pl.DataFrame(rows, ["step", "tokens", "layer", "head", "prefix_matching"], orient="row")


def make_measurements(folder: Path, config: StudyConfig) -> None:
    folder.mkdir(parents=True)
    np.savez(folder / "losses.npz", allow_pickle=False, **arrays(config))
    heads().write_parquet(folder / "heads.parquet")
    heads().write_parquet(folder / "circuits.parquet")
    seal(folder, {})


@pytest.fixture
def study(template: Path, tmp_path: Path) -> StudyPaths:
    return StudyPaths(Path(shutil.copytree(template, tmp_path / "study", symlinks=True)))


def sealed_again(folder: Path) -> None:
    """A manifest that agrees with whatever the folder holds now."""
    (folder / MANIFEST).unlink(missing_ok=True)
    seal(folder, {})


def test_the_template_is_sound(study):
    verify_folder(study.tokens)
    assert load_tokens(study.tokens, "train").size == 60_000
    load_tokenizer(study.tokens)
    load_snapshot(next(study.snapshots(MODEL).glob("*.safetensors")))
    load_curves(study, MODEL)


def edited(name: str, **changes: Any) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        values = read_json(folder / name)
        values = {k: v for k, v in {**values, **changes}.items() if v is not ...}
        (folder / name).write_text(json.dumps(values))

    return edit


def written(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def out_of_range(folder: Path) -> None:
    tokens = np.fromfile(folder / "train.bin", "<u2")
    tokens[1234] = 400
    tokens.tofile(folder / "train.bin")


def as_64_bits(folder: Path) -> None:
    np.fromfile(folder / "train.bin", "<u2").astype("<i8").tofile(folder / "train.bin")


TOKENS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a token out of range": (out_of_range, "train.bin: damaged: token 400 in a vocabulary of 400"),
    "64 bits a token": (as_64_bits, "train.bin: damaged: 480000 bytes, expected 120000"),
    "half a token": (written("train.bin", b"\0" * 119_999), "train.bin: damaged: 119999 bytes"),
    "no tokens": (written("train.bin", b""), "train.bin: damaged: 0 bytes"),
    "no training tokens": (lambda f: (f / "train.bin").unlink(), "train.bin: missing"),
    "a folder of tokens": (
        lambda f: [(f / "train.bin").unlink(), (f / "train.bin").mkdir()],
        "train.bin: missing",
    ),
    "meta missing": (lambda f: (f / "meta.json").unlink(), "meta.json: missing"),
    "meta empty": (written("meta.json", b""), "meta.json: damaged"),
    "meta cut off": (written("meta.json", b'{"d_vocab": 4'), "meta.json: damaged"),
    "meta a list": (written("meta.json", b"[]"), "meta.json: the file"),
    "meta of no UTF-8": (written("meta.json", b"\xff\xfe"), "meta.json: damaged"),
    "meta far too deep": (written("meta.json", b"[" * 100_000), "meta.json: damaged"),
    "meta with a number too long": (written("meta.json", b"9" * 5000), "meta.json: damaged"),
    "a vocabulary of nothing": (edited("meta.json", d_vocab=0), "meta.json: d_vocab"),
    "a vocabulary too large": (edited("meta.json", d_vocab=10**9), "meta.json: d_vocab"),
    "a smaller vocabulary": (edited("meta.json", d_vocab=100), "in a vocabulary of 100"),
    "a vocabulary in words": (edited("meta.json", d_vocab="many"), "meta.json: d_vocab"),
    "another start": (edited("meta.json", start_token=7), "meta.json: start_token"),
    "fewer tokens": (edited("meta.json", train_tokens=5), "train.bin: damaged: 120000 bytes"),
    "more tokens": (edited("meta.json", train_tokens=10**12), "train.bin: damaged"),
    "less than none": (edited("meta.json", train_tokens=-1), "meta.json: train_tokens"),
    "a number without end": (
        edited("meta.json", characters_per_token=float("inf")),
        "meta.json: characters_per_token",
    ),
    "no number": (
        edited("meta.json", characters_per_token=float("nan")),
        "meta.json: characters_per_token",
    ),
    "a key missing": (edited("meta.json", valid_tokens=...), "meta.json: valid_tokens"),
    "a key more": (edited("meta.json", evil=1), "meta.json: evil"),
    "sources that are none": (edited("meta.json", sources=[1]), "meta.json: sources.0"),
}


@pytest.mark.parametrize(("harm", "message"), TOKENS.values(), ids=TOKENS)
def test_tokens_that_cannot_be(harm, message, study):
    harm(study.tokens)
    sealed_again(study.tokens)
    assert message in refusal(study.root, train_one)


def test_validation_text_that_is_too_short(study):
    tokens = np.full(4_000, 5, "<u2")
    tokens[::10] = 0
    tokens.tofile(study.tokens / "valid.bin")
    sealed_again(study.tokens)
    assert "model.n_ctx: 64 is longer than every" in refusal(study.root, measure_one)


TOKENIZERS = {
    "missing": (None, "missing"),
    "empty": (b"", "damaged"),
    "no JSON": (b"{", "damaged"),
    "another JSON": (b'{"a": 1}', "damaged"),
    "a list": (b"[]", "damaged"),
    "binary": (bytes(range(256)), "damaged"),
    "no model": (b'{"version": "1.0", "model": {"type": "Evil"}}', "damaged"),
}


@pytest.mark.parametrize(("content", "message"), TOKENIZERS.values(), ids=TOKENIZERS)
def test_tokenizers_that_are_none(content, message, study):
    path = study.tokens / "tokenizer.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    line = message_of(lambda: load_tokenizer(study.tokens))
    assert line
    assert f"tokenizer.json: {message}" in line


def test_a_tokenizer_of_another_size(study):
    train_tokenizer([path.read_text() for path in ROOT.glob("src/**/*.py")], 300).save(
        str(study.tokens / "tokenizer.json")
    )
    line = message_of(lambda: load_tokenizer(study.tokens))
    assert line
    assert "tokenizer.json: damaged: 300 entries, expected 400" in line


def listing(name: Any) -> dict[str, Any]:
    return {"files": [{"name": name, "bytes": 1, "sha256": ""}]}


MANIFESTS: dict[str, tuple[Any, str]] = {
    "empty": (b"", "manifest.json: damaged"),
    "binary": (b"\xff\x00", "manifest.json: damaged"),
    "a list": ([], "manifest.json: not a manifest"),
    "a number": (1, "manifest.json: not a manifest"),
    "no files": ({}, "manifest.json: not a manifest: 'files'"),
    "files that are none": ({"files": 3}, "manifest.json: not a manifest"),
    "files by name": ({"files": {"a": "b"}}, "manifest.json: not a manifest"),
    "a file without digest": ({"files": [{"name": "a", "bytes": 1}]}, "manifest.json: not a"),
    "a name that is a number": (listing(1), "manifest.json: not a manifest"),
    "a name that is a list": (listing([]), "manifest.json: not a manifest"),
    "a path above": (listing("../params.yaml"), "lists a file outside of its folder"),
    "a path far above": (
        listing("a/../../../../../etc/passwd"),
        "lists a file outside of its folder",
    ),
    "a path from the root": (listing("/etc/passwd"), "lists a file outside of its folder"),
    "a device": ({"files": [{"name": "/dev/zero", "bytes": 0, "sha256": ""}]}, "outside of its"),
    "a name with a zero": (listing("a\0b"), "missing"),
    "a very long name": (listing("a" * 5000), "File name too long"),
    "a missing file": (listing("a"), "a: missing"),
    "the folder itself": (listing("."), "missing"),
    "nothing listed": ({"files": []}, "not in the manifest of"),
}


@pytest.mark.parametrize(("content", "message"), MANIFESTS.values(), ids=MANIFESTS)
def test_manifests_that_cannot_be_trusted(content, message, study):
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    (study.tokens / MANIFEST).write_bytes(text)
    assert message in refusal(study.root, train_one)


def test_raw_data_changed_after_the_download_is_not_opened(study, monkeypatch):
    (study.raw / "wheels").mkdir(parents=True)
    wheel = study.raw / "wheels" / "p.whl"
    wheel.write_bytes(b"as it was")
    seal(study.raw, {})
    wheel.write_bytes(b"as it is!")
    monkeypatch.setattr("zipfile.ZipFile", lambda path: pytest.fail(f"{path} was opened"))
    assert "p.whl: differs from its manifest" in refusal(study.root, prepare.main)
    wheel.write_bytes(b"as it was")
    (study.raw / "wheels" / "q.whl").write_bytes(b"one more")
    assert "q.whl: not in the manifest" in refusal(study.root, prepare.main)


@pytest.mark.parametrize("kind", ["pipe", "link to a device", "link in circles"])
def test_what_is_no_file_among_the_tokens_is_not_read(kind, study):
    path = study.tokens / "train.bin"
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "link to a device" else "train.bin")
    assert "train.bin: missing" in refusal(study.root, train_one)


def snapshot_of(folder: Path) -> Path:
    return next(folder.glob("*.safetensors"))


def with_weights(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    """The same metadata with other weights."""

    def harm(folder: Path) -> None:
        path = snapshot_of(folder)
        about, weights = metadata_of(path), load_file(path)
        change(weights)
        save_file(weights, path, metadata=about)

    return harm


def with_embedding(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Path], None]:
    return with_weights(lambda weights: weights.update(W_E=change(weights["W_E"])))


def with_about(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    """The same weights that say something else of themselves."""

    def harm(folder: Path) -> None:
        path = snapshot_of(folder)
        about = json.loads(metadata_of(path)["induction"])
        change(about)
        save_file(load_file(path), path, metadata={"induction": json.dumps(about)})

    return harm


def with_spec(**changes: Any) -> Callable[[Path], None]:
    return with_about(lambda about: about["spec"].update(changes))


def with_metadata(metadata: dict[str, str] | None) -> Callable[[Path], None]:
    def harm(folder: Path) -> None:
        save_file(load_file(snapshot_of(folder)), snapshot_of(folder), metadata=metadata)

    return harm


def with_content(change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: snapshot_of(folder).write_bytes(change(snapshot_of(folder).read_bytes()))


def metadata_of(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(length))["__metadata__"]


def header(text: bytes, length: int | None = None) -> Callable[[bytes], bytes]:
    """A file with this header, and a length of it that may lie."""
    return lambda _: struct.pack("<Q", len(text) if length is None else length) + text


SNAPSHOTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (with_content(lambda _: b""), "not a snapshot of this study"),
    "a text": (with_content(lambda _: b"weights" * 100), "not a snapshot of this study"),
    "a pickle": (with_content(lambda _: b"\x80\x04cos\nsystem\n."), "not a snapshot"),
    "cut off": (with_content(lambda content: content[:-1]), "not a snapshot of this study"),
    "longer": (with_content(lambda content: content + b"\0"), "not a snapshot of this study"),
    "a huge header": (with_content(header(b"{}", 2**63)), "not a snapshot of this study"),
    "a header of 99 MB": (with_content(header(b"{}", 99_000_000)), "not a snapshot"),
    "a header that is a list": (with_content(header(b"[]")), "not a snapshot of this study"),
    "a header that is no JSON": (with_content(header(b"{a")), "not a snapshot of this study"),
    "a header without tensors": (with_content(header(b"{}")), "not a snapshot of this study"),
    "tensors outside of the file": (
        with_content(header(b'{"a":{"dtype":"F32","shape":[9],"data_offsets":[0,36]}}')),
        "not a snapshot of this study",
    ),
    "tensors of no size": (
        with_content(
            header(b'{"a":{"dtype":"F32","shape":[99999999999,99999999],"data_offsets":[0,0]}}')
        ),
        "not a snapshot of this study",
    ),
    "no metadata": (with_metadata(None), "not a snapshot of this study"),
    "other metadata": (with_metadata({"format": "pt"}), "not a snapshot of this study"),
    "metadata that is no JSON": (with_metadata({"induction": "{"}), "not a snapshot"),
    "metadata that is a list": (with_metadata({"induction": "[]"}), "not a snapshot"),
    "metadata that is nothing": (with_metadata({"induction": "null"}), "not a snapshot"),
    "metadata far too deep": (with_metadata({"induction": "[" * 100_000}), "not a snapshot"),
    "no step": (with_about(lambda about: about.pop("step")), "step: "),
    "a step below zero": (with_about(lambda about: about.update(step=-1)), "step: "),
    "a step in words": (with_about(lambda about: about.update(step="1")), "step: "),
    "tokens without end": (with_about(lambda about: about.update(tokens=1e400)), "tokens: "),
    "one thing more": (with_about(lambda about: about.update(evil=1)), "evil: "),
    "no spec": (with_about(lambda about: about.pop("spec")), "spec: "),
    "a spec in words": (with_about(lambda about: about.update(spec="large")), "spec: "),
    "a key of the spec missing": (with_about(lambda a: a["spec"].pop("n_ctx")), "spec.n_ctx: "),
    "a key of the spec more": (with_spec(evil=1), "spec.evil: "),
    "a billion layers": (with_spec(n_layers=10**9), "impossible sizes"),
    "a billion positions": (with_spec(n_ctx=10**9), "impossible sizes"),
    "no heads": (with_spec(n_heads=0), "impossible sizes"),
    "heads that do not fit": (with_spec(n_heads=5), "impossible sizes"),
    "a base below one": (with_spec(position_base=0.0), "impossible sizes"),
    "a wider model": (with_spec(d_model=131_072), "not the weights of this model"),
    "a deeper model": (with_spec(n_layers=2), "blocks.1.attn.W_K is missing"),
    "a model with MLPs": (with_spec(attn_only=False), "is missing"),
    "a weight missing": (with_weights(lambda w: w.pop("W_E")), "W_E is missing"),
    "a weight more": (with_weights(lambda w: w.update(evil=torch.zeros(1))), "evil is unknown"),
    "a weight of another shape": (
        with_embedding(lambda W_E: W_E.T.contiguous()),
        "W_E is ('F32', [32, 400])",
    ),
    "a weight that is a number": (
        with_embedding(lambda _: torch.tensor(1.0)),
        "W_E is ('F32', [])",
    ),
    "weights of 16 bits": (with_embedding(lambda W_E: W_E.half()), "W_E is ('F16', [400, 32])"),
    "weights of 64 bits": (with_embedding(lambda W_E: W_E.double()), "W_E is ('F64', [400, 32])"),
    "whole numbers": (with_embedding(lambda W_E: W_E.int()), "W_E is ('I32', [400, 32])"),
    "a weight that is no number": (
        with_weights(lambda w: w["W_E"].view(-1)[7:8].fill_(float("nan"))),
        "W_E holds values that are not finite",
    ),
    "a weight without end": (
        with_weights(lambda w: w["ln_final.weight"].fill_(float("inf"))),
        "ln_final.weight holds values that are not finite",
    ),
    "a folder": (
        lambda f: [snapshot_of(f).unlink(), (f / "step-000000.safetensors").mkdir()],
        "not a snapshot of this study",
    ),
    "none": (lambda folder: snapshot_of(folder).unlink(), "no snapshots"),
}


@pytest.mark.parametrize(("harm", "message"), SNAPSHOTS.values(), ids=SNAPSHOTS)
def test_snapshots_that_are_not_of_this_model(harm, message, study):
    folder = study.snapshots(MODEL)
    harm(folder)
    sealed_again(folder)
    shutil.rmtree(study.measurements(MODEL))
    line = refusal(study.root, measure_one)
    assert str(folder) in line
    assert message in line
    assert not study.measurements(MODEL).exists()


@some(GENERATED["weights"])
@given(data=st.data())
def test_generated_damage_to_weights_is_read_or_refused(template, tmp_path, data):
    content = bytearray(snapshot_of(StudyPaths(template).snapshots(MODEL)).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 2500))] = data.draw(st.integers(0, 255))
    path = tmp_path / "step-000000.safetensors"
    path.write_bytes(bytes(content))
    message = message_of(lambda: load_snapshot(path))
    assert message is None or str(path) in message


@some(GENERATED["json"])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["files", "name", "bytes", "sha256", "d_vocab", "sources"]), inner
            )
        ),
        max_leaves=8,
    )
)
def test_generated_json_is_no_manifest_and_no_meta(tmp_path, value):
    for name in (MANIFEST, "meta.json"):
        (tmp_path / name).write_text(json.dumps(value))
    line = message_of(lambda: verify_folder(tmp_path))
    assert line
    assert str(tmp_path) in line
    line = message_of(lambda: load_meta(tmp_path))
    assert line
    assert "meta.json: " in line


def with_array(**changes: Any) -> Callable[[Path, StudyConfig], None]:
    def harm(folder: Path, config: StudyConfig) -> None:
        values = {k: v for k, v in {**arrays(config), **changes}.items() if v is not None}
        np.savez(folder / "losses.npz", allow_pickle=True, **values)

    return harm


def spoilt(name: str, value: float) -> Callable[[Path, StudyConfig], None]:
    def harm(folder: Path, config: StudyConfig) -> None:
        values = arrays(config)
        values[name][1, 2] = value
        np.savez(folder / "losses.npz", allow_pickle=False, **values)

    return harm


def table(change: Callable[[pl.DataFrame], pl.DataFrame]) -> Callable[[Path, StudyConfig], object]:
    return lambda folder, _: change(heads()).write_parquet(folder / "heads.parquet")


class Evil:
    def __reduce__(self):
        return os.system, ("touch pwned",)


MEASUREMENTS: dict[str, Callable[[Path, StudyConfig], object]] = {
    "a pickle of objects": with_array(early=np.array([Evil()], dtype=object)),
    "a pickle alone": lambda f, _: (f / "losses.npz").write_bytes(b"\x80\x04cos\nsystem\n."),
    "an array file": lambda f, _: np.save((f / "losses.npz").open("wb"), np.zeros(3)),
    "empty": lambda f, _: (f / "losses.npz").write_bytes(b""),
    "a text": lambda f, _: (f / "losses.npz").write_bytes(b"losses"),
    "half a zip file": lambda f, _: (f / "losses.npz").write_bytes(
        (f / "losses.npz").read_bytes()[:-40]
    ),
    "damaged": lambda f, _: (f / "losses.npz").write_bytes(
        (f / "losses.npz").read_bytes().replace(b"NUMPY", b"NUMPI")
    ),
    "missing": lambda f, _: (f / "losses.npz").unlink(),
    "an array missing": with_array(late=None),
    "no snapshots": with_array(step=np.zeros(0), tokens=np.zeros(0)),
    "a step that is a number": with_array(step=np.array(3)),
    "steps and tokens that differ": with_array(tokens=np.arange(4)),
    "steps backwards": with_array(step=np.arange(3)[::-1]),
    "another number of snapshots": with_array(per_token=np.zeros((2, 64), np.float32)),
    "windows that differ": with_array(late=np.zeros((3, 5), np.float32)),
    "losses in words": with_array(early=np.full((3, 16), "low"), late=np.full((3, 16), "low")),
    "a loss that is no number": spoilt("per_token", np.nan),
    "a loss without end": spoilt("early", np.inf),
    "a mean that is no number": spoilt("per_index", -np.inf),
    "prefix matching of nothing": with_array(prefix_sequences=np.zeros(3)),
    "a table that is empty": lambda f, _: (f / "heads.parquet").write_bytes(b""),
    "a table that is a text": lambda f, _: (f / "heads.parquet").write_bytes(b"step,layer"),
    "half a table": lambda f, _: (f / "heads.parquet").write_bytes(
        (f / "heads.parquet").read_bytes()[:-20]
    ),
    "a table cut off inside": lambda f, _: (f / "heads.parquet").write_bytes(
        b"PAR1" + bytes(50) + b"\xff\xff\xff\x7fPAR1"
    ),
    "a table missing": lambda f, _: (f / "heads.parquet").unlink(),
    "a table without steps": table(lambda rows: rows.drop("step")),
    "a table of other steps": table(lambda rows: rows.with_columns(pl.col("step") + 1)),
    "a table of nothing": table(lambda rows: rows.clear()),
}


@pytest.mark.parametrize("harm", MEASUREMENTS.values(), ids=MEASUREMENTS)
def test_measurements_that_are_none(harm, study):
    folder = study.measurements(MODEL)
    harm(folder, load_config(study.params))
    sealed_again(folder)
    line = refusal(study.root, summarize.main)
    assert f"{folder}: not measurements of this study: " in line
    assert not (study.root / "pwned").exists()


TABLES = {
    "missing": None,
    "empty": b"",
    "a text": b"layer,head\n",
    "half of one": b"PAR1" + bytes(40),
    "a length that lies": b"PAR1" + bytes(40) + b"\xff\xff\xff\x7fPAR1",
    "a footer that lies": b"PAR1" + b"\xff" * 40 + b"\x28\0\0\0PAR1",
}


@pytest.mark.parametrize("content", TABLES.values(), ids=TABLES)
def test_tables_that_are_none(content, study):
    folder = study.measurements(MODEL)
    (folder / "circuits.parquet").unlink()
    if content is not None:
        (folder / "circuits.parquet").write_bytes(content)
    sealed_again(folder)
    line = refusal(study.root, summarize.main)
    assert f"{folder / 'circuits.parquet'}: not a table of this study: " in line


@some(GENERATED["tables"])
@given(data=st.data())
def test_generated_damage_to_a_table_is_read_or_refused(template, tmp_path, data):
    content = bytearray((StudyPaths(template).measurements(MODEL) / "heads.parquet").read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "heads.parquet"
    path.write_bytes(bytes(content))
    message = message_of(lambda: read_table(path))
    assert message is None or str(path) in message
