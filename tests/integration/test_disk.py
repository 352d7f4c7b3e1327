"""How much disk a run takes, against what a run did take; and what happens when it is not there."""

import re
import shutil
import sqlite3
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import test_bad_parameters as parameters
import test_security as security
from refusals import ROOT, check_line, files_below
from smoke_study import Study

import induction.runner.disk as disk
from induction.config import load_config
from induction.data.fetch import read_requirements
from induction.errors import StudyError
from induction.model.transformer import Transformer
from induction.model.weights import list_snapshots, load_snapshot
from induction.paths import StudyPaths
from induction.runner.__main__ import main
from induction.runner.disk import parameter_count, require_room, stage_bytes

Usage = namedtuple("Usage", "total used free")
PER_MODEL = ("train", "measure", "ablate", "behave", "steer")


def bytes_below(folder: Path) -> int:
    return sum(size for size, _ in files_below(folder).values())


def within_factor_2(estimate: float, truth: float) -> bool:
    return truth / 2 <= estimate <= truth * 2


def all_stages(paths: StudyPaths) -> list[str]:
    models = load_config(paths.params).models
    chains = [f"{kind}@{model}" for kind in PER_MODEL for model in models]
    return ["fetch", "prepare", *chains, "pca", "summarize", "explore", "report"]


def test_the_estimate_of_every_kind_of_output_is_near_the_truth(study: Study):
    paths = StudyPaths(study.root)
    config = load_config(paths.params)
    folders = {
        **{"fetch": "raw", "prepare": "tokens", "train": "snapshots", "measure": "measurements"},
        **{"ablate": "ablations", "behave": "behaviours", "steer": "beyond/steering"},
    }
    for kind, folder in folders.items():
        names = [f"{kind}@{model}" for model in config.models] if kind in PER_MODEL else [kind]
        estimate = sum(stage_bytes(paths, config, name) for name in names)
        truth = bytes_below(study.root / "data" / folder)
        assert within_factor_2(estimate, truth), f"{kind}: {estimate} for {truth}"


def test_the_estimate_of_a_whole_run_is_near_the_truth(study: Study):
    paths = StudyPaths(study.root)
    config = load_config(paths.params)
    truth = bytes_below(study.root / "data") + bytes_below(paths.report_output)
    estimate = sum(stage_bytes(paths, config, stage) for stage in all_stages(paths))
    assert within_factor_2(estimate, truth), f"{estimate} for {truth}"
    told = re.search(r"about (\d+) MB of disk", study.first_output)
    assert told
    shared = disk._cache(study.root)[1]
    assert within_factor_2(float(told[1]) * 1e6, truth if shared else 2 * truth)


def test_parameters_are_counted_to_the_last_one(study: Study):
    paths = StudyPaths(study.root)
    config = load_config(paths.params)
    kinds = set()
    for name, entry in config.models.items():
        model: Transformer = load_snapshot(list_snapshots(paths.snapshots(name))[0].path)
        assert parameter_count(config, name) == sum(p.numel() for p in model.parameters())
        kinds.add((entry.attn_only, entry.smeared_keys))
    assert len(kinds) == 3


def test_the_average_wheel_is_that_of_the_committed_list():
    """The laptop study's own wheels, where they lie here."""
    wheels = list((ROOT / "data" / "raw" / "wheels").glob("*.whl"))
    if len(wheels) != len(read_requirements(ROOT / "data" / "sources.txt")):
        pytest.skip("the wheels of the committed list are not here")
    mean = sum(wheel.stat().st_size for wheel in wheels) / len(wheels)
    assert within_factor_2(disk._WHEEL_BYTES, mean)


@pytest.fixture
def checkout(tmp_path: Path) -> StudyPaths:
    root = parameters.project(tmp_path, (ROOT / "params" / "smoke.yaml").read_bytes())
    (root / "src").symlink_to(ROOT / "src")
    (root / "tests").symlink_to(ROOT / "tests")
    (root / ".dvc").mkdir()
    return StudyPaths(root)


def dvc_config(paths: StudyPaths, kind: str, folder: Path | None = None) -> None:
    text = f'[cache]\n    type = "{kind}"\n' + (f"    dir = {folder}\n" if folder else "")
    (paths.root / ".dvc" / "config").write_text(text)


def needed(paths: StudyPaths, monkeypatch: pytest.MonkeyPatch, jobs: int = 1) -> list[int]:
    """The free bytes of which one less is refused, for each place that has to hold some."""
    asked: list[int] = []
    monkeypatch.setattr(disk, "size_text", lambda count: asked.append(int(count)) or "")
    require_room(paths, load_config(paths.params), ["train@attn-2l"], jobs)
    return asked


def test_a_cache_of_copies_takes_as_much_again(checkout, monkeypatch):
    config = load_config(checkout.params)
    outputs = stage_bytes(checkout, config, "train@attn-2l")
    dvc_config(checkout, "hardlink")
    (linked,) = needed(checkout, monkeypatch)
    dvc_config(checkout, "copy")
    (copied,) = needed(checkout, monkeypatch)
    assert copied - linked == outputs
    (more_at_once,) = needed(checkout, monkeypatch, jobs=2)
    largest = max(parameter_count(config, name) for name in config.models)
    assert more_at_once - copied == disk._STATE_PER_PARAMETER * largest


def test_only_what_is_to_run_is_counted(checkout):
    config = load_config(checkout.params)
    dvc_config(checkout, "copy")
    sizes = [stage_bytes(checkout, config, stage) for stage in all_stages(checkout)]
    assert all(size > 0 for size in sizes)
    all_of_it = require_room(checkout, config, all_stages(checkout), 1)
    assert require_room(checkout, config, ["ablate@attn-1l"], 1) != all_of_it


def test_too_little_room_is_refused_with_numbers_and_a_way_out(checkout, monkeypatch):
    dvc_config(checkout, "copy")
    config = load_config(checkout.params)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, 1_000_000))
    with pytest.raises(StudyError) as refused:
        require_room(checkout, config, all_stages(checkout), 2)
    line = str(refused.value)
    check_line(line)
    assert line.startswith(f"{checkout.root}: the run takes about ")
    assert "1 MB are free: make room, lower snapshots.count, or move DVC's cache" in line


def test_a_cache_elsewhere_needs_room_of_its_own(checkout, monkeypatch, tmp_path):
    elsewhere = tmp_path / "elsewhere" / "cache"
    dvc_config(checkout, "hardlink", elsewhere)
    config = load_config(checkout.params)
    device = disk._device
    monkeypatch.setattr(
        disk,
        "_device",
        lambda path: -1 if path.is_relative_to(tmp_path / "elsewhere") else device(path),
    )

    def usage(path: Path) -> Usage:
        return Usage(1, 1, 10**12 if Path(path).is_relative_to(checkout.root) else 0)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(StudyError, match=re.escape(f"{elsewhere}: the run takes about")):
        require_room(checkout, config, ["train@attn-1l"], 1)


def test_make_study_starts_nothing_on_a_full_disk(tmp_path, monkeypatch, capsys):
    root = security.dvc_project(tmp_path)
    (root / "data" / "sources.txt").write_bytes((ROOT / "data" / "sources.txt").read_bytes())
    monkeypatch.chdir(root)
    monkeypatch.setattr(sys, "argv", ["study"])
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, 0))
    with pytest.raises(SystemExit) as ended:
        main()
    assert capsys.readouterr() == ("", "")
    line = str(ended.value)
    check_line(line)
    assert line.startswith("study: ")
    assert "0 MB are free" in line
    assert not (root / ".scratch" / "logs").exists()
    assert not (root / "data" / "raw").exists()


def test_dvc_without_room_for_its_notes_ends_in_one_line(checkout, monkeypatch, capsys):
    def full(root: Path) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("induction.runner.__main__.stages_to_run", full)
    monkeypatch.chdir(checkout.root)
    monkeypatch.setattr(sys, "argv", ["study"])
    with pytest.raises(SystemExit) as ended:
        main()
    check_line(str(ended.value))
    assert str(ended.value).endswith("database or disk is full")


def test_sizes_are_told_in_units_that_people_read():
    assert disk.size_text(3_400_000) == "3 MB"
    assert disk.size_text(1_440_000_000) == "1.4 GB"
