"""Revisions to paste: steps read off names, in order, thinned, as YAML that params.yaml takes."""

import sys

import pytest
import yaml
from pydantic import TypeAdapter

from induction.config.types import Revision
from induction.external import list as command
from induction.external.list import as_yaml, step_of, thinned


@pytest.mark.parametrize(
    ("name", "step"),
    [
        *(("step1000", 1000), ("step-1000", 1000), ("step_1_000", 1000), ("step143k", 143_000)),
        *(("checkpoint-500", 500), ("ckpt_500", 500), ("iter_0000500", 500), ("100000", 100_000)),
        *(("stage1-step1000-tokens5B", 1000), ("seed-7/step20", 20), ("global_step512", 512)),
        *(("alias-gpt2-small-x21-checkpoint-400000", 400_000), ("step0", 0)),
        *(("step1.5k", 1500), ("step_2.5M", 2_500_000), ("step1,000", None), ("step1.5", None)),
        *((name, None) for name in ("main", "seed-3", "v1.0", "stage1", "tokens5B", "float16")),
    ],
)
def test_steps_are_read_off_names(name, step):
    assert step_of(name) == step


def test_what_is_printed_can_be_pasted():
    text = as_yaml(["step100", "main", "step9", "checkpoint-9", "20", "epoch=0-step=30"], 100)
    steps = {"step9": 9, "20": 20, "epoch=0-step=30": 30, "step100": 100}
    assert yaml.safe_load(text) == {"revisions": steps}
    assert list(yaml.safe_load(text)["revisions"]) == list(steps)
    for name in steps:
        assert TypeAdapter(Revision).validate_python(name) == name
    assert "# main: its name says no step" in text
    assert "# checkpoint-9: step 9 is that of step9 too" in text


def test_thousands_of_revisions_are_thinned_evenly_over_the_logarithm():
    kept = list(thinned({f"step{n}": n for n in range(0, 100_001, 10)}, 11).values())
    assert kept[0] == 0
    assert kept[-1] == 100_000
    assert len(kept) <= 11
    late = [b / a for a, b in zip(kept[-5:], kept[-4:], strict=False)]
    assert max(late) < 1.2 * min(late)


def test_a_folder_lists_its_folders(tmp_path, monkeypatch, capsys):
    for name in ("checkpoint-20", "checkpoint-3", "logs"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(sys, "argv", ["list", str(tmp_path)])
    command.main()
    out = capsys.readouterr().out
    assert out.splitlines()[:3] == ["revisions:", "  checkpoint-3: 3", "  checkpoint-20: 20"]


def test_a_repository_lists_its_branches_and_tags(monkeypatch, capsys):
    monkeypatch.setattr(command, "list_names", lambda _: ["main", "step2", "step1"])
    monkeypatch.setattr(sys, "argv", ["list", "someone/model", "--most", "1"])
    command.main()
    out = capsys.readouterr().out
    assert yaml.safe_load(out) == {"revisions": {"step2": 2}}
    assert "# 1 more lie between these" in out
    monkeypatch.setattr(sys, "argv", ["list", "./nowhere"])
    with pytest.raises(SystemExit, match="no such folder, and no repository"):
        command.main()
