"""Where external models come from: folders and a model hub, pinned, and what can go wrong there."""

import json
import re
import shutil
from contextlib import ExitStack
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import httpx2
import pytest
import torch
from huggingface_hub import errors
from made_external import make_tokens, random_external, save_external, texts
from safetensors.torch import load_file, save_file

from induction.config import ExternalModel, load_config
from induction.errors import StudyError
from induction.external import hub, store
from induction.external.configuration import load_config as load_configuration
from induction.external.revisions import Revision, find_revisions, load_revisions, save_revisions
from induction.external.store import Store
from induction.external.weights import load_model
from induction.files import sha256
from induction.paths import StudyPaths

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """Two revisions of a model, as a hub or a folder holds them."""
    root = tmp_path_factory.mktemp("published")
    tokenizer = make_tokens(root / "tokens", texts(), root / "scratch")
    for seed, name in enumerate(("step10", "step20")):
        save_external(random_external("llama", seed), root / "models" / name, tokenizer)
    return root / "models"


def entry(source: str, **changes) -> ExternalModel:
    values = {
        "source": source,
        "revisions": {"step20": 20, "step10": 10},
        "batch_tokens": 100,
        "n_layers": 3,
        "device": "cpu",
        "dtype": "float32",
    }
    return ExternalModel(**{**values, **changes})


class FakeHub:
    """A hub that serves `published`: commits are c-REVISION; a file once fetched is cached."""

    def __init__(self, published: Path, cache: Path):
        self.published, self.cache, self.fetched = published, cache, []
        self.error: Exception | None = None
        self.damages = False
        self.waits: list[float] = []
        self.pause = self.waits.append

    def model_info(self, repository, revision, files_metadata):
        if self.error:
            raise self.error
        files = [p for p in (self.published / revision).iterdir() if p.is_file()]
        siblings = [
            SimpleNamespace(
                rfilename=path.name,
                size=path.stat().st_size,
                lfs=SimpleNamespace(sha256=sha256(path)) if path.suffix == ".safetensors" else None,
            )
            for path in files
        ]
        return SimpleNamespace(sha=f"c-{revision}", siblings=siblings)

    def hf_hub_download(self, repository, name, revision, cache_dir, force_download):
        target = Path(cache_dir) / revision / name
        if force_download or not target.is_file():
            if self.error:
                raise self.error
            self.fetched.append(f"{revision}/{name}")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.published / revision.removeprefix("c-") / name, target)
            if self.damages:
                damage(target)
        return str(target)

    def is_here(self, repository, name, cache_dir, revision):
        path = Path(cache_dir) / revision / name
        return str(path) if path.is_file() else None

    def delete_revisions(self, commit):
        return SimpleNamespace(execute=lambda: shutil.rmtree(self.cache / commit))


def damage(path: Path) -> None:
    """Turn the last bit of a file over; its size stays."""
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def fetched(place: Store, revision) -> Path:
    """The folder of a revision, left at once."""
    with place.files_of(revision) as folder:
        return folder


@pytest.fixture
def fake(published, tmp_path, monkeypatch) -> FakeHub:
    found = FakeHub(published, tmp_path / "hub")
    monkeypatch.setattr(hub, "HfApi", lambda: found)
    monkeypatch.setattr(hub, "hf_hub_download", found.hf_hub_download)
    monkeypatch.setattr(hub, "try_to_load_from_cache", found.is_here)
    monkeypatch.setattr(hub, "scan_cache_dir", lambda _: found)
    monkeypatch.setattr(hub, "sleep", lambda seconds: found.pause(seconds))
    return found


def found_in(tmp_path) -> list[Revision]:
    return find_revisions(tmp_path, entry("someone/model")).revisions


def hub_store(tmp_path) -> Store:
    return Store("theirs", entry("someone/model"), tmp_path / "someone/model", tmp_path / "hub")


def test_revisions_are_pinned_in_order_of_training_and_read_back(fake, tmp_path):
    pinned = find_revisions(tmp_path, entry("someone/model"))
    found = pinned.revisions
    assert [(r.name, r.step, r.commit) for r in found] == [
        ("step10", 10, "c-step10"),
        ("step20", 20, "c-step20"),
    ]
    assert set(found[0].files) == {"config.json", "model.safetensors"}
    assert str(pinned.tokenizer) == "tokenizer.json of someone/model, step10"
    assert fake.fetched == []
    save_revisions(tmp_path / "pinned", {"family": "llama", "n_layers": 3}, pinned)
    assert load_revisions(tmp_path / "pinned") == pinned


def test_a_hub_gives_what_is_not_here_yet_once(fake, tmp_path, capsys):
    revisions, place = found_in(tmp_path), hub_store(tmp_path)
    place.announce(revisions)
    assert "2 revisions of someone/model, 0 MB; to download: 0 MB" in capsys.readouterr().out
    folder = fetched(place, revisions[0])
    assert "step10: downloading" in capsys.readouterr().out
    assert len(fake.fetched) == 2
    (folder / "config.json").unlink()  # as where a download was cut off
    fetched(place, revisions[0])
    assert fake.fetched[2:] == ["c-step10/config.json"]
    fake.error = errors.OfflineModeIsEnabled()
    assert fetched(place, revisions[0]) == folder  # all is here: no hub is asked
    model = load_model(folder, place.entry, torch.device("cpu"))
    assert model.spec.n_layers == 3


def test_weights_are_kept_or_deleted_as_asked(fake, tmp_path, monkeypatch):
    revisions, place = found_in(tmp_path), hub_store(tmp_path)
    folder = fetched(place, revisions[0])
    assert folder.is_dir()
    monkeypatch.setenv(store.DELETE_VARIABLE, "1")
    with place.files_of(revisions[0], ["config.json"]):
        pass
    assert folder.is_dir()  # only the whole revision is done with
    with pytest.raises(KeyboardInterrupt), place.files_of(revisions[0]):
        raise KeyboardInterrupt
    assert folder.is_dir()
    fetched(place, revisions[0])
    assert not folder.exists()


def test_what_one_process_reads_no_other_deletes(fake, tmp_path, monkeypatch):
    """Two stages of a model run side by side, and each deletes what it has read."""
    monkeypatch.setenv(store.DELETE_VARIABLE, "1")
    revisions, place = found_in(tmp_path), hub_store(tmp_path)
    other = Thread(target=fetched, args=(place, revisions[0]), daemon=True)
    with place.files_of(revisions[0]) as folder:
        other.start()
        other.join(0.2)
        assert other.is_alive()  # it waits
        assert sha256(folder / "model.safetensors")
        assert len(fake.fetched) == 2
    other.join(10)
    assert not other.is_alive()
    assert len(fake.fetched) == 4
    assert not folder.exists()


def test_models_do_not_wait_for_each_other(fake, tmp_path):
    config = load_config(ROOT / "params.yaml")
    names = {"one": entry("a/b"), "same": entry("a/b"), "other": entry("a/c")}
    config = config.model_copy(update={"external": names})
    caches = [store.make_store(StudyPaths(tmp_path), config, name).cache for name in names]
    assert caches[0] == caches[1] != caches[2]
    [revision, _] = found_in(tmp_path)
    with ExitStack() as stack:
        for cache in set(caches):
            place = Store("x", entry("someone/model"), tmp_path / "no", cache)
            stack.enter_context(place.files_of(revision))


def test_a_damaged_download_is_fetched_again_and_then_told(fake, tmp_path, capsys):
    revisions, place = found_in(tmp_path), hub_store(tmp_path)
    path = fetched(place, revisions[0]) / "model.safetensors"
    whole = path.read_bytes()
    damage(path)
    fetched(place, revisions[0])
    assert path.read_bytes() == whole
    assert fake.fetched[2:] == ["c-step10/model.safetensors"]
    assert f"{path}: damaged: downloading it again" in capsys.readouterr().out
    fake.damages = True
    damage(path)
    with pytest.raises(
        StudyError, match=r"model\.safetensors: downloaded again, .*: delete it and"
    ):
        fetched(place, revisions[0])


def test_too_little_room_for_a_download_is_told_before_it(fake, tmp_path, monkeypatch):
    revisions, place = found_in(tmp_path), hub_store(tmp_path)
    monkeypatch.setattr(store.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(StudyError, match=r"external\.theirs: 0 MB to download, 0 MB free .*DELETE"):
        place.announce(revisions)
    assert fake.fetched == []


def _answer(status: int, headers: dict[str, str] | None = None):
    return httpx2.Response(
        status, headers=headers, request=httpx2.Request("GET", "http://hub.invalid/")
    )


TROUBLE = {
    "an error of hf_xet": (
        RuntimeError("Data processing error:\n  timed out"),
        "revision step10: the download failed: Data processing error: timed out: run it again",
    ),
    "a file of another size": (
        OSError("Consistency check failed"),
        "revision step10: the download failed: Consistency check failed: run it again",
    ),
    "offline": (errors.OfflineModeIsEnabled(), "the model hub cannot be reached: go online"),
    "no route": (httpx2.ConnectError("no route"), "the model hub cannot be reached: go online"),
    "nothing kept": (errors.LocalEntryNotFoundError("x"), "the model hub cannot be reached"),
    "gated": (
        errors.GatedRepoError("x", response=_answer(403)),
        "someone/model: gated: accept its conditions on its page, then log in: `hf auth login`",
    ),
    "unknown repository": (
        errors.RepositoryNotFoundError("x", response=_answer(404)),
        "someone/model: no such repository, or a private one",
    ),
    "unknown revision": (
        errors.RevisionNotFoundError("x", response=_answer(404)),
        "someone/model, revision step10: no such revision",
    ),
    "a broken hub": (
        errors.HfHubHTTPError("x", response=_answer(503)),
        "someone/model, revision step10: the hub answers with status 503: try later",
    ),
}


@pytest.mark.parametrize("what", TROUBLE)
def test_trouble_with_a_hub_is_one_clear_line(what, fake, tmp_path):
    fake.error, expected = TROUBLE[what]
    with pytest.raises(StudyError) as found:
        find_revisions(tmp_path, entry("someone/model"))
    assert expected in str(found.value)
    assert "\n" not in str(found.value)


BUSY = {
    "as long as it asks": (_answer(429, {"Retry-After": "30"}), [30.0, 30.0]),
    "longer each time": (_answer(503), [10.0, 20.0]),
    "where a file is looked for": (_answer(429, {"Retry-After": "7"}), [7.0, 7.0]),
}


@pytest.mark.parametrize("what", BUSY)
def test_rate_limits_are_waited_for_and_told(what, fake, tmp_path, capsys):
    answer, waits = BUSY[what]
    error: Exception = errors.HfHubHTTPError("x", response=answer)
    if "file" in what:  # as the client wraps it
        wrapped = errors.LocalEntryNotFoundError("x")
        wrapped.__cause__, error = error, wrapped
    fake.error, calls = error, []

    def pause(seconds):
        calls.append(seconds)
        if len(calls) == 2:
            fake.error = None

    fake.pause = pause
    assert len(found_in(tmp_path)) == 2
    assert calls == waits
    said = capsys.readouterr().out
    assert f"answers with status {answer.status_code}: asking again in {waits[0]:.0f} s" in said


def test_rate_limits_that_do_not_end_are_one_line(fake, tmp_path):
    fake.error = errors.HfHubHTTPError("x", response=_answer(429, {"Retry-After": "30"}))
    with pytest.raises(StudyError, match="the hub answers with status 429: try later"):
        found_in(tmp_path)
    assert fake.waits == [30.0] * 4
    fake.error = errors.HfHubHTTPError("x", response=_answer(429, {"Retry-After": "4000"}))
    with pytest.raises(StudyError, match="status 429"):
        found_in(tmp_path)
    assert len(fake.waits) == 4


def test_a_connection_that_is_cut_goes_on_by_itself(fake, tmp_path):
    revisions, place = found_in(tmp_path), hub_store(tmp_path)
    fake.error = httpx2.ReadError("cut off")

    def pause(_):
        fake.error = None

    fake.pause = pause
    fetched(place, revisions[0])
    assert len(fake.fetched) == 2


def test_hole_of_a_hub_is_left_out_but_trouble_is_not_a_hole(fake, published, tmp_path):
    shutil.copytree(published, tmp_path / "copy")
    fake.published = tmp_path / "copy"
    (fake.published / "step10" / "model.safetensors").unlink()
    found = find_revisions(tmp_path, entry("someone/model"))
    assert [each.name for each in found.revisions] == ["step20"]
    assert [each.name for each in found.left_out] == ["step10"]
    fake.error = httpx2.ConnectError("no route")
    with pytest.raises(StudyError, match="cannot be reached"):
        find_revisions(tmp_path, entry("someone/model"))


def test_tokenizer_once_on_a_hub_is_that_of_main(fake, published, tmp_path):
    shutil.copytree(published, tmp_path / "copy")
    fake.published = tmp_path / "copy"
    shutil.copytree(fake.published / "step20", fake.published / "main")
    for name in ("step10", "step20"):
        (fake.published / name / "tokenizer.json").unlink()
    found = find_revisions(tmp_path, entry("someone/model"))
    assert str(found.tokenizer) == "tokenizer.json of someone/model"
    assert found.tokenizer.commit == "c-main"
    with hub_store(tmp_path).tokenizer(tmp_path, found.tokenizer) as path:
        assert path.is_file()
    assert fake.fetched == ["c-main/tokenizer.json"]


def test_a_full_disk_is_not_the_hubs_trouble(fake, tmp_path):
    fake.error = OSError(28, "No space left on device")
    with pytest.raises(OSError, match="No space left"):
        find_revisions(tmp_path, entry("someone/model"))


def test_a_connection_lost_on_the_way_goes_on_where_it_was(fake, tmp_path):
    revisions, place = found_in(tmp_path), hub_store(tmp_path)
    fetched(place, revisions[0])
    fake.error = httpx2.ReadError("cut off")
    with pytest.raises(StudyError, match="cannot be reached"):
        fetched(place, revisions[1])
    fake.error = None
    fetched(place, revisions[1])
    assert len(fake.fetched) == 4


def test_a_folder_is_pinned_by_the_hashes_of_its_files(published, tmp_path):
    shutil.copytree(published, tmp_path / "mine")
    revisions = find_revisions(tmp_path, entry("mine")).revisions
    weights = tmp_path / "mine" / "step10" / "model.safetensors"
    assert revisions[0].files["model.safetensors"].sha256 == sha256(weights)
    place = Store("theirs", entry("mine"), tmp_path / "mine", tmp_path / "hub")
    assert fetched(place, revisions[0]) == weights.parent
    shutil.copyfile(tmp_path / "mine" / "step20" / "model.safetensors", weights)
    with pytest.raises(StudyError, match=r"not the file that was pinned.*--force revisions@theirs"):
        fetched(place, revisions[0])


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("mine", "no such folder, and no repository of a model hub"),
        ("./mine", "no such folder, and no repository of a model hub"),
        ("/some/where", "no such folder, and no repository of a model hub"),
    ],
)
def test_a_source_that_is_neither_is_named(source, expected, tmp_path):
    with pytest.raises(StudyError, match=expected):
        find_revisions(tmp_path, entry(source))


def test_a_missing_revision_lists_those_that_are_there(published, tmp_path):
    shutil.copytree(published, tmp_path / "mine")
    with pytest.raises(StudyError, match=r"step30: no such revision: .* holds step10, step20"):
        find_revisions(tmp_path, entry("mine", revisions={"step30": 30}))


def test_weights_that_can_run_code_are_not_read(published, tmp_path):
    shutil.copytree(published, tmp_path / "mine")
    for weights in (tmp_path / "mine").glob("*/model.safetensors"):
        weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(StudyError, match=r"older format .*external\.convert mine FOLDER"):
        find_revisions(tmp_path, entry("mine"))


def test_weights_in_several_files_are_all_pinned(published, tmp_path):
    folder = tmp_path / "mine" / "step10"
    shutil.copytree(published / "step10", folder)
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    (folder / "model.safetensors.index.json").write_text("{}")
    (folder / "training_args.safetensors").write_text("")
    [revision] = find_revisions(tmp_path, entry("mine", revisions={"step10": 10})).revisions
    assert set(revision.files) == {
        *("config.json", "model.safetensors.index.json"),
        "model-00001-of-00001.safetensors",
    }


def test_weights_in_several_files_are_one_model(published, tmp_path):
    model, folder = random_external("llama"), tmp_path / "mine" / "step10"
    model.save_pretrained(folder, max_shard_size="20KB")
    shutil.copyfile(published / "step10" / "tokenizer.json", folder / "tokenizer.json")
    [revision] = find_revisions(tmp_path, entry("mine", revisions={"step10": 10})).revisions
    assert sum(name.endswith(".safetensors") for name in revision.files) > 2
    place = Store("theirs", entry("mine"), folder.parent, tmp_path / "hub")
    ours = load_model(fetched(place, revision), place.entry, torch.device("cpu"))
    tokens = torch.arange(1, 20)[None]
    found = ours.residual(tokens) @ ours.W_U
    torch.testing.assert_close(found, model(tokens).logits, atol=1e-4, rtol=1e-4)


def test_of_revisions_with_the_same_weights_the_last_is_measured(published, tmp_path):
    for name in ("step10", "step20"):
        shutil.copytree(published / "step10", tmp_path / "mine" / name)
    found = find_revisions(tmp_path, entry("mine"))
    assert [each.name for each in found.revisions] == ["step20"]
    [left_out] = found.left_out
    assert left_out.name == "step10"
    assert left_out.reason == "has the same weights as step20: one is mislabelled"
    with pytest.raises(StudyError, match="step10: has the same weights as step20"):
        find_revisions(tmp_path, entry("mine", strict=True))


@pytest.mark.parametrize("family", ["gpt_neox", "gpt2"])
def test_masks_saved_beside_the_weights_by_older_versions_are_no_matter(family, tmp_path):
    model = random_external(family)
    model.save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    layer = next(name for name in weights if ".0.att" in name).rsplit(".", 2)[0]
    weights[f"{layer}.bias"] = torch.ones(1, 1, 8, 8, dtype=torch.bool)
    weights[f"{layer}.masked_bias"] = torch.tensor(-1e9)
    weights[f"{layer}.rotary_emb.inv_freq"] = torch.ones(4)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    tokens = torch.arange(1, 20)[None]
    ours = load_model(tmp_path, entry("mine"), torch.device("cpu"))
    found = ours.residual(tokens) @ ours.W_U
    torch.testing.assert_close(found, model(tokens).logits, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ["attn.c_attn.bias", "attn.c_proj.bias"])
def test_missing_biases_are_not_taken_for_masks(name, tmp_path):
    random_external("gpt2").save_pretrained(tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    saved = {key: value for key, value in saved.items() if not key.endswith(name)}
    save_file(saved, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StudyError, match=rf"missing: .*{name}"):
        load_model(tmp_path, entry("mine"), torch.device("cpu"))


def test_too_little_memory_is_not_taken_for_damaged_weights(published, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 1 TB")

    place = "induction.external.weights.AutoModelForCausalLM.from_pretrained"
    monkeypatch.setattr(place, fail)
    with pytest.raises(RuntimeError, match="can't allocate memory"):
        load_model(published / "step10", entry("mine"), torch.device("cpu"))


def broken(published, tmp_path, change) -> Path:
    folder = tmp_path / "broken"
    shutil.copytree(published / "step10", folder)
    config = json.loads((folder / "config.json").read_text())
    change(folder, config)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


BROKEN = {
    "another shape": (
        lambda f, c: c.update(hidden_size=64),
        "not the weights of this model",
    ),
    "a layer too many": (
        lambda f, c: c.update(num_hidden_layers=4),
        "not the weights of this model: missing: model.layers.3",
    ),
    "a layer too few": (
        lambda f, c: c.update(num_hidden_layers=2),
        "not the weights of this model: unexpected: model.layers.2",
    ),
    "half a file": (
        lambda f, c: (f / "model.safetensors").write_bytes(
            (f / "model.safetensors").read_bytes()[:5000]
        ),
        "not the weights of this model",
    ),
    "an unknown family": (
        lambda f, c: c.update(model_type="bloom"),
        "a model of the family bloom: known: gpt_neox, gpt2, llama, mistral, qwen2, qwen3",
    ),
    "code of its own": (
        lambda f, c: c.update(model_type="mine", auto_map={"AutoConfig": "code.Config"}),
        "a model of the family mine: known",
    ),
    "no number of heads": (
        lambda f, c: c.update(num_attention_heads="many"),
        "not a configuration of a model",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_revision_is_one_line(what, published, tmp_path):
    change, expected = BROKEN[what]
    folder = broken(published, tmp_path, change)
    with pytest.raises(StudyError) as found:
        load_model(folder, entry("mine"), torch.device("cpu"))
    assert expected in str(found.value)
    assert str(folder) in str(found.value)
    load_configuration(published / "step10")


def test_two_revisions_of_one_step_are_refused(tmp_path):
    text = (ROOT / "params.yaml").read_text()
    table = (
        "external:\n  theirs:\n    source: a/b\n    revisions: {one: 5, two: 5}\n"
        "    batch_tokens: 10\n    n_layers: 2\n    device: cpu\n    dtype: float32\n"
    )
    path = tmp_path / "params.yaml"
    path.write_text(re.sub(r"external: \{\}.*\n", table, text))
    with pytest.raises(StudyError, match=r"external\.theirs\.revisions: step 5 stands twice"):
        load_config(path)
