"""The crate of a small study whose dvc.lock DVC itself wrote."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from refusals import files_below, refusal
from rocrate.rocrate import ROCrate
from ruamel.yaml import YAML

from induction.crate import main, stated_licence
from induction.files import published_folder, sha256
from induction.paths import StudyPaths
from induction.stages import run_stage

ROOT = Path(__file__).parents[2]
WHEEL = "wheels/made-1.0-py3-none-any.whl"
PIPELINE = """\
vars: [params.yaml]
stages:
  fetch:
    desc: Download the wheels
    cmd: python -m induction.stages.fetch
    deps: [data/sources.txt, src/induction/stages/fetch.py]
    params: [corpus.wheels]
    outs: [data/raw]
  train:
    foreach: ${models}
    do:
      desc: Train ${key}
      cmd: python -m induction.stages.train "$DVC_STAGE"
      deps: [data/raw, src/induction/model, src/induction/stages/train.py]
      params: ["models.${key}", snapshots]
      outs:
        - "data/snapshots/${key}"
        - "data/timings/train@${key}.json": {cache: false}
  llc:
    foreach: ${llc.models}
    do:
      desc: Sample ${item}
      cmd: python -m induction.stages.train "$DVC_STAGE"
      deps: [data/raw]
      params: [llc.seed]
      outs:
        - "data/timings/llc@${item}.json": {cache: false}
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def write_wheel(path: Path, metadata: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("made-1.0.dist-info/METADATA", f"Name: made\n{metadata}\n\nA text.\n")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that nobody ran: its files are made here, and DVC records them."""
    root = tmp_path_factory.mktemp("recorded") / "study"
    write(root / "dvc.yaml", PIPELINE)
    for name in ("CITATION.cff", "requirements.lock", ".dvcignore", "data/sources.txt"):
        write(root / name, (ROOT / name).read_text())
    shutil.copyfile(ROOT / "params" / "smoke.yaml", root / "params.yaml")
    for name in ("stages/fetch.py", "stages/train.py", "model/layers.py", "model/deep/é.py"):
        write(root / "src/induction" / name, f"# {name}\n")
    write(root / "src/induction/model/__pycache__/layers.pyc", "compiled")
    paths = StudyPaths(root)
    with published_folder(paths.raw, paths.scratch) as raw:
        (raw / "wheels").mkdir()
        write_wheel(raw / WHEEL, "License-Expression: BSD-2-Clause")
    params = YAML(typ="safe").load(paths.params)
    for name in params["llc"]["models"]:
        write(paths.timing(f"llc@{name}"), "{}\n")
    for name in params["models"]:
        write(paths.timing(f"train@{name}"), "{}\n")
        made = {"environment": {"python": "3.11.7", "torch": "2.13.0"}}
        with published_folder(paths.snapshots(name), paths.scratch, made) as folder:
            write(folder / "step-000000.safetensors", f"weights of {name}")
    for command in (["init", "--no-scm"], ["commit", "--force"]):
        run = [sys.executable, "-m", "dvc", *command, "--quiet"]
        subprocess.run(run, cwd=root, check=True, env={**os.environ, "DVC_NO_ANALYTICS": "true"})
    return root


@pytest.fixture
def paths(recorded: Path, tmp_path: Path) -> StudyPaths:
    shutil.copytree(recorded, tmp_path / "study", symlinks=True)
    return StudyPaths(tmp_path / "study")


def crate_of(paths: StudyPaths, monkeypatch: pytest.MonkeyPatch) -> Any:  # else, Pyright guesses
    monkeypatch.chdir(paths.root)
    run_stage("crate", main, timed=False)
    return ROCrate(paths.crate)


def lock_of(paths: StudyPaths) -> dict:
    return YAML(typ="safe").load(paths.root / "dvc.lock")["stages"]


def entity(crate: Any, path: str) -> dict:
    for name in (path, f"{path}/", f"#{path}"):
        if found := crate.get(name.replace("@", "%40")):
            return found.properties()
    raise AssertionError(f"{path} is not in the crate")


def test_digests_and_sizes_are_those_of_the_lock(paths, monkeypatch):
    crate = crate_of(paths, monkeypatch)
    for stage in lock_of(paths).values():
        for entry in (*stage["deps"], *stage["outs"]):
            told = entity(crate, entry["path"])
            assert (told["md5"], told["contentSize"]) == (entry["md5"], str(entry["size"]))


def test_a_stage_tells_what_it_ran_read_and_made(paths, monkeypatch):
    crate = crate_of(paths, monkeypatch)
    stages = lock_of(paths)
    told = {str(each["@id"]) for each in crate.root_dataset.properties()["mentions"]}
    assert told == {f"#stage/{name}" for name in stages}
    action = crate.get("#stage/train@attn-2l")
    assert action is not None
    assert action.type == "CreateAction"
    assert action["description"] == "Train attn-2l; made with python 3.11.7, torch 2.13.0"
    assert action["instrument"].id == "src/induction/stages/train.py"
    assert [code.id for code in action["instrument"]["softwareRequirements"]] == [
        "src/induction/model/"
    ]
    read = {each["name"]: each for each in action["object"]}
    params = YAML(typ="safe").load(paths.params)
    assert set(read) == {"data/raw", "models.attn-2l", "snapshots"}
    assert json.loads(read["snapshots"]["value"]) == params["snapshots"]
    assert [each["name"] for each in action["result"]] == [
        "data/snapshots/attn-2l",
        "data/timings/train@attn-2l.json",
    ]


def test_a_stage_of_a_list_of_models_is_told_like_those_of_a_table(paths, monkeypatch):
    action = crate_of(paths, monkeypatch).get("#stage/llc@attn-2l")
    assert action is not None
    assert action["description"].startswith("Sample attn-2l")


def test_a_wheel_has_its_digest_size_and_licence(paths, monkeypatch):
    crate = crate_of(paths, monkeypatch)
    told = crate.get(f"#data/raw/{WHEEL}")
    assert told is not None
    assert told["sha256"] == sha256(paths.raw / WHEEL)
    assert told["contentSize"] == str((paths.raw / WHEEL).stat().st_size)
    assert told["license"]["name"] == "BSD-2-Clause"


def test_authors_licence_and_date_are_those_of_the_citation(paths, monkeypatch):
    root = crate_of(paths, monkeypatch).root_dataset
    citation = YAML(typ="safe").load(paths.citation)
    assert root["name"] == citation["title"]
    assert root.properties()["datePublished"] == citation["date-released"]
    assert root["license"].id == f"https://spdx.org/licenses/{citation['license']}"
    (author,) = root["author"] if isinstance(root["author"], list) else [root["author"]]
    assert author["name"] == citation["authors"][0]["name"]


def test_the_files_that_it_names_are_in_it_and_no_others(paths, monkeypatch):
    crate = crate_of(paths, monkeypatch)
    for told in crate.data_entities:
        assert (paths.crate / told.id.replace("%40", "@")).exists(), told.id
    for name in ("model/layers.py", "model/deep/é.py", "stages/train.py"):
        there = paths.crate / "src/induction" / name
        assert there.read_text() == (paths.root / "src/induction" / name).read_text()
    assert not list(paths.crate.rglob("__pycache__"))
    assert not (paths.crate / "data/raw").exists()


def test_it_tells_nothing_of_this_machine_and_is_the_same_each_time(paths, monkeypatch):
    crate_of(paths, monkeypatch)
    files = sorted(path for path in paths.crate.rglob("*") if path.is_file())
    first = {path: path.read_bytes() for path in files}
    assert not [path for path in files if os.fsencode(paths.root.parent) in first[path]]
    crate_of(paths, monkeypatch)
    assert {path: path.read_bytes() for path in files} == first


def _edit(name: str, old: str, new: str):
    def edit(paths: StudyPaths) -> None:
        text = (paths.root / name).read_text()
        assert old in text
        (paths.root / name).write_text(text.replace(old, new))

    return edit


def _rename(name: str):
    return lambda paths: (paths.root / name).rename(paths.root / "elsewhere")


BAD = {
    "nothing has run": (_rename("dvc.lock"), "dvc.lock: missing, so no stage has run"),
    "a stage has not run": (_edit("dvc.lock", "  fetch:", "  other:"), "first is fetch: run `make"),
    "an output is gone": (_rename("data/raw"), "data/raw: missing, though fetch has run"),
    "an output changed": (
        _edit("data/timings/train@attn-2l.json", "{}", "[]"),
        "train@attn-2l.json: changed since train@attn-2l ran",
    ),
    "a file of a folder changed": (
        _edit("data/snapshots/attn-2l/step-000000.safetensors", "weights", "Weights"),
        "data/snapshots/attn-2l: changed since train@attn-2l ran",
    ),
    "code changed": (_edit("src/induction/model/layers.py", "#", "##"), "model: changed since"),
    "a parameter changed": (
        _edit("params.yaml", "linear_until: ", "linear_until: 1"),
        "snapshots.linear_until: changed since train@",
    ),
    "a path of the machine": (
        _edit("dvc.lock", "path: data/raw", "path: /home/somebody/raw"),
        "/home/somebody/raw: a path of this machine",
    ),
    "a path out of the study": (
        _edit("dvc.lock", "path: data/raw", "path: data/../../raw"),
        "data/../../raw: a path of this machine",
    ),
    "no YAML": (_edit("dvc.lock", "stages:", "stages: ]"), "dvc.lock: line 2: not valid YAML"),
    "no digest": (_edit("dvc.lock", "      md5: ", "      sum: "), "md5: Field required"),
    "no citation": (_rename("CITATION.cff"), "CITATION.cff: no such file"),
    "a citation that is no YAML": (_edit("CITATION.cff", "title:", "title: ]"), "not valid YAML"),
    "a citation without licence": (_edit("CITATION.cff", "\nlicense:", "\nlicence:"), "license:"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_a_line_and_the_last_crate_stays(case, paths, monkeypatch):
    crate_of(paths, monkeypatch)
    before = files_below(paths.crate)
    spoil, told = BAD[case]
    spoil(paths)
    assert told in refusal(paths.root, main, "crate")
    assert files_below(paths.crate) == before


def test_a_wheel_that_cannot_be_read_is_refused(paths):
    (paths.raw / WHEEL).write_text("no zip file")
    with pytest.raises(Exception, match="not a readable zip file"):
        stated_licence(paths.raw / WHEEL)


@pytest.mark.parametrize(
    ("metadata", "stated"),
    [
        ("License-Expression: MIT\nLicense: other", "MIT"),
        (
            "License: BSD 3 clause\nClassifier: License :: OSI Approved :: BSD License",
            "BSD 3 clause",
        ),
        (
            f"License: A licence\n  {'that goes on and on ' * 4}\n"
            "Classifier: License :: Freely Distributable\n"
            "Classifier: License :: OSI Approved :: BSD License",
            "BSD License",
        ),
        ("Summary: no word of it", "not stated"),
    ],
)
def test_the_licence_is_what_the_package_states(metadata, stated, tmp_path):
    write_wheel(tmp_path / "made.whl", metadata)
    assert stated_licence(tmp_path / "made.whl") == stated
