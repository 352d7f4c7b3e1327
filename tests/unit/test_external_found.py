"""Checkpoints of others as they lie about: what is taken, what is left out, what is told."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from made_external import make_tokens, random_external, save_external, texts
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, processors

from induction.config import ExternalModel
from induction.config import load_config as load_study
from induction.errors import StudyError
from induction.external.configuration import load_config
from induction.external.revisions import find_revisions
from induction.external.start_token import find_start_token
from induction.external.store import Store, make_store
from induction.external.tensors import TensorNotes, find_shared, tensor_digests
from induction.external.weights import load_model
from induction.paths import StudyPaths

ROOT = Path(__file__).parents[2]
STEPS = {"step1": 1, "step2": 2, "step3": 3}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    root = tmp_path_factory.mktemp("tokens")
    return make_tokens(root / "tokens", texts(), root / "scratch")


@pytest.fixture
def suite(tokenizer, tmp_path) -> Path:
    """A folder with three revisions of a small model, below the root of a study."""
    for seed, name in enumerate(STEPS):
        save_external(random_external("llama", seed), tmp_path / "suite" / name, tokenizer)
    return tmp_path / "suite"


def entry(source: str = "suite", **changes) -> ExternalModel:
    values = {"source": source, "revisions": STEPS, "batch_tokens": 100, "n_layers": 3}
    return ExternalModel(**{**values, "device": "cpu", "dtype": "float32", **changes})


def names(found) -> list[str]:
    return [revision.name for revision in found.revisions]


@pytest.mark.parametrize("revisions", [{}, {"main": 7}, {"final": 7}])
def test_one_model_is_its_own_only_revision(revisions, suite):
    place = entry("suite/step2", revisions=revisions)
    [revision] = find_revisions(suite.parent, place).revisions
    assert revision.step == (7 if revisions else 1)
    store = Store("theirs", place, suite / "step2", suite / "none")
    with store.files_of(revision) as folder:
        assert folder == suite / "step2"


def test_one_model_above_its_revisions_is_main_alone(suite):
    for path in (suite / "step3").iterdir():
        shutil.copy(path, suite)
    assert names(find_revisions(suite.parent, entry(revisions={"step1": 1, "main": 3}))) == [
        *("step1", "main")
    ]
    with pytest.raises(StudyError, match=r"step9: no such revision: .* holds step1, step2, step3"):
        find_revisions(suite.parent, entry(revisions={"step9": 9}))


def test_tokenizer_once_serves_all_revisions(suite):
    for name in ("step1", "step3"):
        (suite / name / "tokenizer.json").unlink()
    found = find_revisions(suite.parent, entry())
    assert names(found) == ["step1", "step2", "step3"]
    assert str(found.tokenizer) == "tokenizer.json of suite, step2"
    shutil.move(suite / "step2" / "tokenizer.json", suite / "tokenizer.json")
    found = find_revisions(suite.parent, entry())
    assert str(found.tokenizer) == "tokenizer.json of suite"
    store = Store("theirs", entry(), suite, suite / "none")
    with store.tokenizer(suite.parent, found.tokenizer) as path:
        assert path == suite / "tokenizer.json"
    path.write_text("{}")
    with (
        pytest.raises(StudyError, match="not the file that was pinned"),
        store.tokenizer(suite.parent, found.tokenizer),
    ):
        pass


@pytest.mark.parametrize("source", ["elsewhere", "elsewhere/mine.json"])
def test_tokenizer_named_by_its_key_counts(source, suite, tokenizer):
    (suite.parent / "elsewhere").mkdir()
    for name in ("tokenizer.json", "mine.json"):
        tokenizer.save(str(suite.parent / "elsewhere" / name))
    found = find_revisions(suite.parent, entry(tokenizer=source)).tokenizer
    assert str(found).endswith(" of elsewhere")
    store = Store("theirs", entry(), suite, suite / "none")
    with store.tokenizer(suite.parent, found) as path:
        assert path.is_file()


def test_no_tokenizer_anywhere_names_the_key(suite):
    for path in suite.glob("*/tokenizer.json"):
        path.unlink()
    with pytest.raises(
        StudyError, match=r"no tokenizer\.json, .* in the key tokenizer; transformers.*writes one$"
    ):
        find_revisions(suite.parent, entry())
    with pytest.raises(StudyError, match=r"tokenizer: suite has no tokenizer\.json"):
        find_revisions(suite.parent, entry(tokenizer="suite"))
    (suite / "tokenizer.model").write_bytes(b"\n\x0e")
    with pytest.raises(StudyError, match=r"tokenizer\.model: only a tokenizer\.json is read"):
        find_revisions(suite.parent, entry(tokenizer="suite/tokenizer.model"))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


HOLES = {
    "no weights": (Path.unlink, r"^has no weights: no model\.safetensors$"),
    "half a file": (cut, r"^model\.safetensors: not whole: "),
    "a pointer of Git LFS": (
        lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"),
        r"^model\.safetensors: not whole: ",
    ),
    "the older format": (
        lambda path: path.rename(path.with_name("pytorch_model.bin")),
        "older format",
    ),
    "no configuration": (
        lambda path: path.with_name("config.json").unlink(),
        r"^has no config\.json",
    ),
    "an adapter": (
        lambda path: path.with_name("adapter_config.json").write_text("{}"),
        "adapter.*: merge it into its model",
    ),
}


@pytest.mark.parametrize("what", HOLES)
def test_hole_is_left_out_with_its_reason_or_refused_if_strict(what, suite):
    change, reason = HOLES[what]
    change(suite / "step2" / "model.safetensors")
    found = find_revisions(suite.parent, entry())
    assert names(found) == ["step1", "step3"]
    [left_out] = found.left_out
    assert (left_out.name, left_out.step) == ("step2", 2)
    with pytest.raises(StudyError) as refused:
        find_revisions(suite.parent, entry(strict=True))
    assert left_out.reason in str(refused.value)
    assert re.search(reason, left_out.reason)


def test_hole_of_a_shard_that_is_missing(suite):
    model = random_external("llama", 5)
    shutil.rmtree(suite / "step2")
    model.save_pretrained(suite / "step2", max_shard_size="20KB")
    sorted((suite / "step2").glob("model-*"))[1].unlink()
    [left_out] = find_revisions(suite.parent, entry()).left_out
    assert left_out.reason.startswith("has ")
    assert left_out.reason.endswith(" files of weights")


def test_hole_of_shards_that_the_index_tells(suite):
    shutil.rmtree(suite / "step2")
    random_external("llama", 5).save_pretrained(suite / "step2", max_shard_size="20KB")
    index = suite / "step2" / "model.safetensors.index.json"
    values = json.loads(index.read_text())
    first, absent = next(iter(values["weight_map"])), "model-00099-of-00099.safetensors"
    index.write_text(json.dumps(values | {"weight_map": {first: absent}}))
    [left_out] = find_revisions(suite.parent, entry()).left_out
    assert left_out.reason.startswith(
        "model-00099-of-00099.safetensors: listed in model.safetensors"
    )
    index.unlink()
    [left_out] = find_revisions(suite.parent, entry()).left_out
    assert left_out.reason.startswith("has no model.safetensors.index.json, which says what is in")


def test_checkpoints_without_names_say_what_lists_them(suite):
    with pytest.raises(StudyError, match=r"holds step1, .*: `python -m induction.external.list "):
        find_revisions(suite.parent, entry(revisions={}))


def test_nothing_but_holes_is_one_refusal(suite):
    for path in suite.glob("*/model.safetensors"):
        path.unlink()
    with pytest.raises(StudyError, match=r"^suite: no revision can be measured: step1: has no wei"):
        find_revisions(suite.parent, entry())


def test_tied_and_not_is_refused_where_the_two_differ(suite):
    folder = suite / "step1"
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": True}))
    with pytest.raises(StudyError, match=r"tie_word_embeddings: true\), yet .* which one counts"):
        load_model(folder, entry(), torch.device("cpu"))
    weights = load_file(folder / "model.safetensors")
    for twice in (True, False):  # the same once more, or once
        weights.pop("lm_head.weight")
        if twice:
            weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        ours = load_model(folder, entry(), torch.device("cpu"))
        assert torch.equal(ours.W_E, ours.W_U.T)
    (folder / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    with pytest.raises(StudyError, match=r"missing: lm_head\.weight"):
        load_model(folder, entry(), torch.device("cpu"))


def test_shared_shard_is_told_by_its_tensors(suite):
    first, second = (load_file(suite / name / "model.safetensors") for name in ("step1", "step2"))
    same = ("model.embed_tokens.weight", "model.layers.1.mlp.down_proj.weight")
    second |= {name: first[name] for name in (*same, "model.norm.weight")}
    second["lm_head.weight"] = torch.zeros_like(second["lm_head.weight"])
    save_file(second, suite / "step2" / "model.safetensors", metadata={"format": "pt"})
    found = find_revisions(suite.parent, entry())
    store = Store("theirs", entry(), suite, suite / "none")
    notes = TensorNotes(suite.parent / "notes.json")
    digests = {each.name: notes.of(store, each) for each in found.revisions}
    [shared] = find_shared(digests)
    assert shared.revisions == ["step1", "step2"]
    assert tuple(shared.tensors) == same
    assert str(shared).startswith("step1, step2: the same in 2 of ")
    shutil.rmtree(suite)  # what was noted needs no weights
    again = TensorNotes(suite.parent / "notes.json")
    assert [again.of(store, each) for each in found.revisions] == list(digests.values())


def test_constants_and_small_tensors_are_no_evidence(tmp_path):
    save_file(
        {
            "h.0.attn.bias": torch.rand(1, 1, 32, 32),
            "zeros": torch.zeros(32, 32),
            "scales": torch.rand(1000),
            "small": torch.rand(4, 4),
            "half": torch.rand(32, 32).bfloat16(),
        },
        tmp_path / "a.safetensors",
    )
    assert list(tensor_digests([tmp_path / "a.safetensors"])) == ["half"]


START_TOKENS = {
    "the key": ("z", {}, None, "z", "key start_token"),
    "a template": (None, {}, "<|start|>", "<|start|>", "its tokenizer puts it in front"),
    "tokenizer_config.json": (None, {"bos_token": {"content": "("}}, None, "(", "bos_token of"),
    "the configuration, if special": (None, {}, None, "<|start|>", "bos_token_id of config"),
}


@pytest.mark.parametrize("what", START_TOKENS)
def test_start_token_is_the_tokenizers_own(what, suite, tokenizer):
    wanted, beside, template, text, why = START_TOKENS[what]
    path = suite / "step1" / "tokenizer.json"
    (suite / "step1" / "tokenizer_config.json").write_text(json.dumps(beside))
    if template:
        own = Tokenizer.from_file(str(path))
        own.post_processor = processors.TemplateProcessing(
            single=f"{template} $A", special_tokens=[(template, 0)]
        )
        own.save(str(path))
    found = find_start_token(path, load_config(suite / "step1"), wanted)
    assert found.text == text
    assert found.id == tokenizer.token_to_id(text)
    assert why in found.why


def test_start_token_of_the_configuration_that_is_an_ordinary_token_does_not_count(suite):
    config = load_config(suite / "step1")
    config.bos_token_id, config.eos_token_id = 1, -1
    path = suite / "step1" / "tokenizer.json"
    assert find_start_token(path, config, None).text == "<|start|>"
    with pytest.raises(StudyError, match=r"start_token: <s>: no token of .*: <\|start\|>"):
        find_start_token(path, config, "<s>")
    own = Tokenizer.from_file(str(path))
    own.add_special_tokens(["<other>"])
    own.save(str(path))
    with pytest.raises(StudyError, match=r"Name it in the key start_token: .*, <other>"):
        find_start_token(path, config, None)


def test_padding_that_the_file_asks_for_is_no_start_token(suite):
    path = suite / "step1" / "tokenizer.json"
    own = Tokenizer.from_file(str(path))
    own.add_special_tokens(["<pad>", "<s>"])
    first = [("<s>", own.token_to_id("<s>"))]
    own.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=first)  # pyright: ignore[reportAttributeAccessIssue]
    own.enable_padding(
        direction="left", pad_id=own.token_to_id("<pad>"), pad_token="<pad>", length=9
    )
    own.save(str(path))
    assert find_start_token(path, load_config(suite / "step1"), None).text == "<s>"


@pytest.mark.parametrize(
    ("source", "message"),
    [("suite/step1/config.json", "is a file: name its folder"), ("~/m", "write the whole path")],
)
def test_a_source_that_is_no_folder_is_told(suite, source, message):
    wrong = entry().model_copy(update={"source": source})
    with pytest.raises(StudyError, match=message):
        find_revisions(suite.parent, wrong)


def test_local_models_are_found_from_an_experiments_copy(suite):
    copy = StudyPaths(suite.parent / ".dvc" / "tmp" / "exps" / "x")
    config = load_study(ROOT / "params" / "smoke.yaml")
    config = config.model_copy(update={"external": {"theirs": entry()}})
    assert make_store(copy, config, "theirs").folder == suite


def test_keys_of_a_model_that_may_be_left_out(tmp_path):
    text = (ROOT / "params" / "smoke.yaml").read_text()
    block = (
        "external:\n  theirs: {source: a/b, batch_tokens: 1, n_layers: 1, device: cpu, "
        "dtype: float32}\n"
    )
    path = tmp_path / "params.yaml"
    path.write_text(re.sub(r"external: \{\}.*\n", block, text))
    assert load_study(path).external["theirs"].steps == {"main": 1}
    path.write_text(path.read_text().replace("n_layers: 1, d", "n_layers: 1, strikt: true, d"))
    with pytest.raises(StudyError, match="strikt: unknown key: did you mean strict"):
        load_study(path)
