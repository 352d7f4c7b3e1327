"""Bad parameters: one line each, with the key's path and what would be valid."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from induction.config import load_config, model_config
from induction.errors import StudyError

ROOT = Path(__file__).parents[2]
YAML_FILE = YAML()


def changed(tmp_path: Path, path: str, value: Any) -> Path:
    """A copy of params.yaml with one value changed; `path` like models.attn-2l.seed."""
    params = YAML_FILE.load(ROOT / "params.yaml")
    section = params
    *parents, key = path.split(".")
    for parent in parents:
        section = section[parent]
    section[key] = value
    target = tmp_path / "params.yaml"
    YAML_FILE.dump(params, target)
    return target


@pytest.mark.parametrize("name", ["params.yaml", *sorted(p.name for p in ROOT.glob("params/*"))])
def test_every_parameter_file_is_valid(name):
    path = ROOT / name
    config = load_config(path if path.is_file() else ROOT / "params" / name)
    assert config.models


def test_the_configuration_cannot_be_changed():
    config = load_config(ROOT / "params.yaml")
    with pytest.raises(ValueError, match="frozen"):
        config.model.n_ctx = 1  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("train.lerning_rate", 0.1, "train.lerning_rate: unknown key: did you mean learning_rate?"),
        ("models.attn-2l.smeared_key", True, "models.attn-2l.smeared_key: unknown key: did you"),
        ("modelss", {}, "modelss: unknown key: did you mean models?"),
        ("evaluation.zzz", 1, "evaluation.zzz: unknown key: known: examples, "),
        (
            "train.batch_tokens",
            "many",
            'train.batch_tokens: expected a valid integer, found "many"',
        ),
        ("train.batch_tokens", 2.5, "train.batch_tokens: expected a valid integer, found 2.5"),
        ("models.attn-2l.n_layers", 0, "models.attn-2l.n_layers: expected greater than or equal"),
        ("models.attn-2l.n_layers", True, "models.attn-2l.n_layers: expected a valid integer"),
        ("models.attn-2l.optimizer", "sgd", "models.attn-2l.optimizer: expected 'muon' or 'adamw'"),
        ("models.attn-2l", 3, "models.attn-2l: expected an object"),
        (
            "models.attn-2l.trained_on",
            "some",
            "trained_on: expected 'all', 'uncopyable' or 'random'",
        ),
        ("models.attn-1l.clamp", "both", "models.attn-1l.clamp: both clamps a head of the second"),
        (
            "models.attn-2l.batch_tokens",
            300,
            "batch_tokens: 300 is no multiple of model.n_ctx: 256",
        ),
        ("models.attn-2l.repeated", "reversed", "repeated: needs a repeated_share above 0"),
        ("llc.models", ["attn-2"], "llc.models: attn-2: unknown key: did you mean attn-2l?"),
        ("models", {}, "models: "),
        ("models.../evil", {}, "lower-case letters, digits and hyphens"),
        ("train.learning_rate", float("nan"), "train.learning_rate: expected a finite number"),
        ("train.learning_rate", -1.0, "train.learning_rate: expected greater than 0"),
        ("compute.device", "tpu", "compute.device: expected 'cpu' or 'cuda', found \"tpu\""),
        ("corpus.files", "a.txt", "corpus.files: expected a valid array"),
        ("tokenizer.d_vocab", 100, "tokenizer.d_vocab: expected greater than or equal to 300"),
        ("model.d_model", 66, "model.d_model: 66 does not divide into n_heads: 4"),
        ("model.n_ctx", 100, "train.batch_tokens: 2048 is no multiple of model.n_ctx: 100"),
        ("evaluation.late", [224, 256], "evaluation.late: [224, 256] must be ascending and below"),
        ("evaluation.late", [20, 40], "evaluation.late: must start after evaluation.early ends"),
        ("evaluation.probe_period", [20, 90], "4 repeats of 90 tokens and the start token are"),
        ("evaluation.probe_period", [20], "evaluation.probe_period"),
        ("evaluation.probe_vocab_quantiles", [0.5, 0.51], "leaves fewer than 40 tokens"),
        ("evaluation.pattern_examples", 9999, "at most evaluation.examples: "),
        ("behaviours.gap", [9, 8], "behaviours.gap: must be two ascending lengths"),
        ("behaviours.shots", [0, 4, 2], "behaviours.shots: must be ascending, none twice"),
        ("behaviours.shots", [20], "behaviours.shots.0: expected less than or equal to 19"),
        ("behaviours.examples", 1, "behaviours.examples: expected greater than or equal to 2"),
        ("behaviours.lines", 4, "behaviours.lines: expected greater than or equal to 5"),
        ("behaviours.translation_language", "../fr", "expected a language such as fr or pt_BR"),
        ("behaviours.translation_file", "/etc/passwd", "behaviours.translation_file: expected"),
        ("behaviours.translation_file", "data/own/../x", "must stay below data/own/"),
        ("steering.scale", [0, 1, 2], "steering.scale: unknown key: did you mean scales?"),
        ("steering.scales", [0.0, 2.0, 1.0], "steering.scales: must be ascending, none twice"),
        ("steering.scales", [0.0, 0.5, 1.0], "steering.scales: must hold 0, 1 and a number above"),
        ("steering.scales", [0.5, 1.0, 2.0], "steering.scales: must hold 0, 1 and a number above"),
        ("steering.scales", [0.0, 0.5, 2.0], "steering.scales: must hold 0, 1 and a number above"),
        ("steering.scales", [-1.0, 1.0, 2.0], "steering.scales.0: expected greater than or equal"),
        ("steering.scales", [0.0, 1.0], "steering.scales: expected"),
        ("steering.new_tokens", 3, "steering.new_tokens: expected greater than or equal to 4"),
        ("steering.new_tokens", 240, "240 behind 32 of the prompt are longer than model.n_ctx"),
        ("steering.windows", 9999, "steering.windows: at most evaluation.examples: "),
        ("steering.prompts", 600, "steering.prompts: at most evaluation.examples: "),
        ("corpus.wheels", False, "corpus.files: give at least one glob"),
        ("models.attn-2l.tokens", 100, "models.attn-2l.tokens: at least one batch: 2048"),
    ],
)
def test_a_bad_value_is_explained_in_one_line(tmp_path, path, value, message):
    if path.startswith("models.../"):
        params = YAML_FILE.load(ROOT / "params.yaml")
        params["models"]["../evil"] = params["models"]["attn-2l"]
        target = tmp_path / "params.yaml"
        YAML_FILE.dump(params, target)
    else:
        target = changed(tmp_path, path, value)
    with pytest.raises(StudyError) as error:
        load_config(target)
    text = str(error.value)
    assert message in text
    assert text.startswith("params.yaml: ")
    assert "\n" not in text


def test_a_misspelt_key_is_named_rather_than_the_one_that_it_leaves_missing(tmp_path):
    target = tmp_path / "params.yaml"
    target.write_text((ROOT / "params.yaml").read_text().replace("  n_ctx:", "  nctx:"))
    with pytest.raises(StudyError, match=r"model\.nctx: unknown key: did you mean n_ctx\?"):
        load_config(target)


def test_a_missing_key_is_named(tmp_path):
    text = (ROOT / "params.yaml").read_text()
    target = tmp_path / "params.yaml"
    target.write_text(re.sub(r"\n  data_seed: .*", "", text))
    with pytest.raises(StudyError, match=r"params\.yaml: train\.data_seed: this key is missing"):
        load_config(target)


@pytest.mark.parametrize("text", ["a: [1", "a: 1\na: 2\n", "", "- 1\n", "a: \xff"])
def test_what_is_no_parameter_file_is_one_line(tmp_path, text):
    target = tmp_path / "params.yaml"
    target.write_bytes(text.encode("latin-1"))
    with pytest.raises(StudyError) as error:
        load_config(target)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith("params.yaml: ")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(StudyError, match=r"nowhere\.yaml: no such file"):
        load_config(tmp_path / "nowhere.yaml")


def test_an_unknown_model_is_named_with_the_nearest():
    config = load_config(ROOT / "params.yaml")
    with pytest.raises(StudyError, match=r"models\.attn-2: unknown key: did you mean attn-2l"):
        model_config(config, "attn-2")


def test_a_study_of_experiments_alone_is_refused(tmp_path):
    alone = {"attn-2l": {"n_layers": 2, "attn_only": True, "tokens": 9999, "seed": 0}}
    alone["attn-2l"]["rate_factor"] = 2.0
    with pytest.raises(StudyError, match="models: all are experiments beyond the paper"):
        load_config(changed(tmp_path, "models", alone))


def test_an_experiment_is_told_from_the_rest_of_the_study():
    config = load_config(ROOT / "params.yaml")
    entry = config.models["attn-2l"].model_copy(update={"batch_tokens": 512, "rate_factor": 0.5})
    assert not config.models["attn-2l"].experiment
    assert config.models["attn-2l"].plain
    assert entry.experiment == {"batch_tokens": 512, "rate_factor": 0.5}
    assert not entry.plain
    other = config.model_copy(update={"models": {**config.models, "small": entry}})
    assert other.usual == config


def test_targets_are_not_left_out_by_several_processes(tmp_path):
    target = changed(tmp_path, "models.attn-2l.trained_on", "random")
    target.write_text(target.read_text().replace("processes: 1", "processes: 2"))
    with pytest.raises(StudyError, match=r"models\.attn-2l\.trained_on: random leaves each of"):
        load_config(target)
