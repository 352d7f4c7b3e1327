"""dvc.lock as the runner has DVC write it, against DVC's own way."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import load_yaml, modify_yaml

from induction.runner.dvc import modify

ROOT = Path(__file__).parents[2]

USUAL = {
    **{"float": 1e-05, "short": 0.016, "large": 1e22, "infinite": float("inf"), "whole": 2**40},
    **{"empty list": [], "empty": {}, "nested": [[1, 2], [3]], "true": True, "nothing": ""},
    **{"number as text": "1e-3", "hexadecimal as text": "0x1F", "yes as text": "yes"},
    **{"colon": "a: b", "quote": "it's", "dash": "- a", "hash": "#a", "tilde": "~", "space": " a"},
    **{"long": "word " * 80, "accents": "é 日本"},
}
UNUSUAL = {"none": None, "lines": "a\nb", "beyond": "\U0001f600"}


def record(content: dict[str, Any], params: dict[str, Any]) -> None:
    stage: OrderedDict[str, Any] = OrderedDict(
        cmd='python -m a "$DVC_STAGE"', deps=[OrderedDict(path="a/é", size=3)]
    )
    stage["params"] = {"params.yaml": params}
    content.setdefault("stages", {})["new"] = stage


def both(folder: Path, before: str, params: dict[str, Any]) -> tuple[Path, Path]:
    """dvc.lock with one stage more, written by DVC and by the runner."""
    for way in (modify_yaml, modify):
        path = folder / way.__module__ / "dvc.lock"
        path.parent.mkdir()
        path.write_text(before, encoding="utf-8")
        with way(str(path)) as content:
            record(content, params)
    return folder / modify_yaml.__module__ / "dvc.lock", folder / modify.__module__ / "dvc.lock"


@pytest.mark.parametrize("before", ["", (ROOT / "dvc.lock").read_text(encoding="utf-8")])
def test_the_bytes_are_those_of_dvc(before, tmp_path):
    theirs, ours = both(tmp_path, before, USUAL)
    assert "number as text: " in ours.read_text(encoding="utf-8")
    assert ours.read_bytes() == theirs.read_bytes()


def test_the_content_always_is_that_of_dvc(tmp_path):
    theirs, ours = both(tmp_path, "", USUAL | UNUSUAL)
    assert load_yaml(ours) == load_yaml(theirs)
    assert load_yaml(ours)["stages"]["new"]["params"]["params.yaml"] == USUAL | UNUSUAL


def test_comments_in_dvc_yaml_stay(tmp_path):
    path = tmp_path / "dvc.yaml"
    path.write_text("# why\nstages: {}\n", encoding="utf-8")
    with modify(path) as content:
        content["vars"] = []
    assert path.read_text(encoding="utf-8").startswith("# why\n")
