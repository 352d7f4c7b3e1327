"""Bad params.yaml, through the command of a stage: by hand, from every key, and generated."""

import copy
import json
import math
import os
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from refusals import ROOT, message_of, refusal
from ruamel.yaml import YAML

from induction.config import ModelName, load_config
from induction.stages import fetch

VALUES: dict[str, Any] = YAML(typ="safe", pure=True).load(ROOT / "params.yaml")
TEXT = (ROOT / "params.yaml").read_text()
MODEL = VALUES["models"]["attn-2l"]
HOSTILE_NAMES = [
    *(
        "../evil",
        "../../../tmp/evil",
        "/etc/passwd",
        "..",
        ".",
        "",
        "a/b",
        "a\\b",
        "~root",
        "C:evil",
    ),
    *("x; touch pwned", "$(touch pwned)", "`touch pwned`", "x\ntouch pwned", "x && touch pwned"),
    *("x' ; touch pwned '", 'x" ; touch pwned "', "x|y", "x>y", "*", "?", "x y", "-rf", "--help"),
    *(
        "attn-2l\n",
        "attn-2l ",
        "Attn-2l",
        "ATTN-2L",
        "modèle",
        "модель",
        "模型",
        "a\u200bb",
        "ａｂ",
    ),
    *("<script>alert(1)</script>", "{{< pagebreak >}}", "`{python} 1`", "#import", "a@b", "a:b"),
    *("x" * 41, "x" * 1000, "a\x00b", "a\x1b[31mb", "a.b", "a_b", "a|b", "\ud800", "\u202eevil"),
]


def leaves(values: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every parameter that is no mapping; of the models, one stands for all."""
    if not isinstance(values, dict):
        return [place]
    if place == ("models",):
        values = {"attn-2l": values["attn-2l"]}
    return [leaf for key, value in values.items() for leaf in leaves(value, (*place, key))]


LEAVES = leaves(VALUES)
LEFT_OUT = frozenset(  # keys that may be, as parameter files from before they came do
    ("prose", "other_sets", "min_share", "min_signal", "smeared_keys", "optimizer")
)
SECTIONS = [key for key, value in VALUES.items() if isinstance(value, dict)]


def with_value(place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    values = copy.deepcopy(VALUES)
    section = values
    for key in place[:-1]:
        section = section[key]
    section[place[-1]] = value
    return values


def without(place: tuple[Any, ...]) -> dict[str, Any]:
    values = with_value(place, None)
    section = values
    for key in place[:-1]:
        section = section[key]
    del section[place[-1]]
    return values


def yaml_of(values: Any) -> bytes:
    """JSON is YAML, but for how it writes what is no finite number."""
    text = json.dumps(values)
    for json_word, yaml_word in (("-Infinity", "-.inf"), ("Infinity", ".inf"), ("NaN", ".nan")):
        text = text.replace(json_word, yaml_word)
    return text.encode()


def project(folder: Path, content: bytes) -> Path:
    root = folder / "study"
    (root / "data").mkdir(parents=True)
    (root / "dvc.yaml").touch()
    (root / "params.yaml").write_bytes(content)
    return root


def refused(folder: Path, content: bytes) -> str:
    line = refusal(project(folder, content), fetch.main, "fetch")
    assert line.startswith("params.yaml: ")
    return line.removeprefix("params.yaml: ")


def dotted(place: tuple[Any, ...]) -> str:
    return ".".join(map(str, place))


@pytest.mark.parametrize("place", LEAVES, ids=dotted)
def test_a_value_of_a_wrong_type_is_named(place, tmp_path):
    assert refused(tmp_path, yaml_of(with_value(place, {"a": 1}))).startswith(dotted(place) + ": ")


@pytest.mark.parametrize(
    "place", [place for place in LEAVES if place[-1] not in LEFT_OUT], ids=dotted
)
def test_a_missing_key_is_named(place, tmp_path):
    line = refused(tmp_path, yaml_of(without(place)))
    assert line == f"{dotted(place)}: this key is missing"


@pytest.mark.parametrize("place", [p for p in LEAVES if p[-1] in LEFT_OUT], ids=dotted)
def test_a_key_with_a_default_can_be_left_out(place, tmp_path):
    load_config(project(tmp_path, yaml_of(without(place))) / "params.yaml")


@pytest.mark.parametrize("place", [*[(key,) for key in VALUES], *LEAVES], ids=dotted)
def test_a_misspelt_key_is_named_with_the_right_one(place, tmp_path):
    values = without(place)
    section = values
    for key in place[:-1]:
        section = section[key]
    section[f"{place[-1]}x"] = 1
    line = refused(tmp_path, yaml_of(values))
    assert line == f"{dotted(place)}x: unknown key: did you mean {place[-1]}?"


ODD_NUMBERS = [math.nan, math.inf, -math.inf, -1, 10**400, 2**64, 1e300, "1e400", True, None]
ODD_PLACES = [
    *(("train", "learning_rate"), ("train", "batch_tokens"), ("model", "d_model")),
    *(("models", "attn-2l", "seed"), ("models", "attn-2l", "n_layers"), ("snapshots", "count")),
    *(("corpus", "validation_fraction"), ("evaluation", "examples"), ("pca", "shuffles")),
]


@pytest.mark.parametrize("value", ODD_NUMBERS, ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("place", ODD_PLACES, ids=dotted)
def test_an_odd_number_is_named(place, value, tmp_path):
    assert refused(tmp_path, yaml_of(with_value(place, value))).startswith(dotted(place) + ": ")


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=lambda name: ascii(name)[:30])
def test_a_model_gets_no_hostile_name(name, tmp_path):
    models = {**VALUES["models"], name: MODEL}
    line = refused(tmp_path, yaml_of({**VALUES, "models": models}))
    if "\ud800" not in name:
        assert line.startswith("models")
        assert "use lower-case letters, digits and hyphens, at most 40" in line
    else:  # YAML's reader in C refuses half a character itself
        assert "half a character" in line or "not valid YAML" in line


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("name",), "", "use letters, digits"),
        (("name",), "x" * 61, "use letters, digits"),
        (("name",), "x" * 100_000, "use letters, digits"),
        (("name",), "<script>alert(1)</script>", "use letters, digits"),
        (("name",), "`{python} 1`", "use letters, digits"),
        (("name",), "two\nlines", "use letters, digits"),
        (("corpus", "files"), ["a\x00b"], "expected a glob"),
        (("corpus", "files"), ["a\nb"], "expected a glob"),
        (("corpus", "files"), [""], "expected a glob"),
        (("corpus", "files"), ["x" * 501], "expected a glob"),
        (("corpus", "files"), ["x"] * 1001, "expected"),
        (("corpus", "files"), [["x"]], "expected a valid string"),
        (("evaluation", "early"), [16, 31, 40], "expected"),
        (("evaluation", "early"), [31, 16], "must be ascending"),
        (("evaluation", "early"), [-1, 16], "greater than or equal to 0"),
        (("evaluation", "probe_vocab_quantiles"), [0.9, 0.1], "two ascending numbers"),
        (("evaluation", "probe_vocab_quantiles"), [0.1, 1.5], "two ascending numbers"),
        (("icl_windows", "early"), [], "expected"),
        (("icl_windows", "late"), [[0, 256]], "must be ascending and below"),
        (("train", "adam_betas"), [0.9], "this list needs another value"),
        (("models",), {}, "name at least one model"),
        (("models",), [], "expected an object"),
        (("models",), "attn-2l", "expected an object"),
        (("models",), None, "expected an object"),
        (("models",), {f"m{n}": MODEL for n in range(1001)}, "1000"),
        (("models", "attn-2l", "tokens"), 0, "greater than or equal to 1"),
        (("models", "attn-2l", "tokens"), 1_000_000.5, "expected a valid integer"),
        (("model", "d_model"), 65, "does not divide"),
        (("model", "n_heads"), 0, "greater than or equal to 1"),
    ],
)
def test_a_value_out_of_range_is_named(place, value, message, tmp_path):
    line = refused(tmp_path, yaml_of(with_value(place, value)))
    assert line.startswith(dotted(place)[:10])
    assert message in line


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
NOT_YAML = {
    "nothing": b"",
    "only a comment": b"# nothing\n",
    "a list": b"- 1\n- 2\n",
    "a text": b"just text\n",
    "a number": b"42\n",
    "an open list": TEXT.replace("files: []", "files: [").encode(),
    "a key twice": (TEXT + "\nname: again\n").encode(),
    "a model twice": (TEXT + f"  attn-2l: {json.dumps(MODEL)}\n").encode(),
    "a tab": TEXT.replace("  device:", "\tdevice:").encode(),
    "wrong indentation": TEXT.replace("  device:", "   device:").encode(),
    "two documents": (TEXT + "---\n" + TEXT).encode(),
    "a tag of Python": TEXT.replace(
        "name: laptop", 'name: !!python/object/apply:os.system ["touch pwned"]'
    ).encode(),
    "a Python name": TEXT.replace("name: laptop", "name: !!python/name:os.system").encode(),
    "an own tag": TEXT.replace("name: laptop", "name: !evil laptop").encode(),
    "binary tag": TEXT.replace("name: laptop", "name: !!binary aGVsbG8=").encode(),
    "a set": TEXT.replace("name: laptop", "name: !!set {a, b}").encode(),
    "a date": TEXT.replace("name: laptop", "name: 2001-01-01").encode(),
    "no date": TEXT.replace("name: laptop", "name: 2001-99-99").encode(),
    "references in circles": b"a: &a [*a]\n",
    "references that explode": BOMB.encode(),
    "an unknown reference": b"a: *b\n",
    "deep lists": b"a: " + b"[" * 2000 + b"]" * 2000,
    "deep mappings": b"{a: " * 30 + b"1" + b"}" * 30,
    "a number as a key": (TEXT + "\n1: 2\n").encode(),
    "a model named 1e3": TEXT.replace("  attn-2l:", "  1e3:").encode(),
    "a model named true": TEXT.replace("  attn-2l:", "  true:").encode(),
    "a list as a key": (TEXT + "\n? [a, b]\n: 2\n").encode(),
    "nothing as a key": (TEXT + "\n? \n: 2\n").encode(),
    "ten thousand digits": TEXT.replace("count: 60", "count: " + "9" * 10_000).encode(),
    "ten thousand hex digits": TEXT.replace("count: 60", "count: 0x" + "f" * 10_000).encode(),
    "zeros": bytes(1000),
    "binary": bytes(range(256)) * 4,
    "a program": b"\x7fELF\x02\x01\x01" + bytes(100),
    "latin-1": TEXT.replace("laptop", "l\xe4ptop").encode("latin-1"),
    "a lone byte order mark": b"\xef\xbb\xbf",
    "half a UTF-16": TEXT.encode("utf-16")[:-1],
    "a terminal's control characters": TEXT.replace("laptop", "lap\x1b[31mtop").encode(),
    "an escaped half character": TEXT.replace("name: laptop", 'name: "\\ud800"').encode(),
    "200 kB": b"#" * 200_001,
}


@pytest.mark.parametrize("content", NOT_YAML.values(), ids=NOT_YAML)
def test_what_is_no_parameter_file_is_one_line(content, tmp_path):
    refused(tmp_path, content)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    root = project(tmp_path, b"")
    with (root / "params.yaml").open("wb") as file:
        file.truncate(100_000_000_000)  # no disk is used for what was never written
    assert "100,000,000,000 bytes" in refusal(root, fetch.main)


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "link in circles"])
def test_without_a_parameter_file_there_is_no_study(kind, tmp_path):
    root = project(tmp_path, b"")
    params = root / "params.yaml"
    params.unlink()
    if kind == "folder":
        params.mkdir()
    elif kind == "pipe":
        os.mkfifo(params)
    elif kind == "link in circles":
        params.symlink_to("params.yaml")
    assert "no study here" in refusal(root, fetch.main)


GENERATED = {"names": 60, "bytes": 60, "texts": 60, "values": 100}


def some(kind: str):
    return settings(
        max_examples=GENERATED[kind],
        deadline=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
    )


def line_of(folder: Path, content: bytes) -> str | None:
    """The message with which a file is refused, or None for a valid one. As load_config does it."""
    path = folder / "params.yaml"
    path.write_bytes(content)
    line = message_of(lambda: load_config(path))
    assert line is None or line.startswith("params.yaml: ")
    return line


@some("names")
@given(st.text(max_size=50))
@example("a-")
def test_generated_names_follow_the_rule_or_are_refused(tmp_path, name):
    rule = get_args(ModelName)[1].pattern
    valid = re.fullmatch(rule.strip("^$"), name)
    line = line_of(tmp_path, yaml_of({**VALUES, "models": {name: MODEL}}))
    assert (line is None) == bool(valid)


@some("bytes")
@given(st.binary(max_size=300))
def test_generated_bytes_are_refused(tmp_path, content):
    assert line_of(tmp_path, content)


@some("texts")
@given(
    st.integers(0, len(TEXT)),
    st.integers(0, 40),
    st.text("{}[]&*!|>'\"%@`:,?#-\t\n 0ea", max_size=9),
)
def test_damaged_text_is_valid_or_refused(tmp_path, start, length, patch):
    line_of(tmp_path, (TEXT[:start] + patch + TEXT[start + length :]).encode())


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3)
    ),
    max_leaves=5,
)


@some("values")
@given(st.sampled_from([*LEAVES, *[(key,) for key in VALUES]]), anything)
def test_a_generated_value_is_taken_as_it_is_or_refused(tmp_path, place, value):
    line = line_of(tmp_path, yaml_of(with_value(place, value)))
    if line is None:
        taken: Any = load_config(tmp_path / "params.yaml").model_dump(mode="json")
        for key in place:
            taken = taken[key]
        assert taken == value or math.isclose(taken, value)
