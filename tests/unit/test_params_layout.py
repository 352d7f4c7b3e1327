"""`dvc exp run -S` rewrites the parameter file: only the value that it sets may change.

DVC writes YAML with ruamel at its default width, and lists with one item a line. A file in that
layout keeps its comments and gives a diff of one line.
"""

import re
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from induction.config import load_config

ROOT = Path(__file__).parents[2]
FILES = [ROOT / "params.yaml", *sorted(ROOT.glob("params/*.yaml"))]


def after(file: Path, folder: Path, *overrides: str) -> str:
    """The text that DVC makes of a copy of the file."""
    copy = folder / "params.yaml"
    copy.write_bytes(file.read_bytes())
    apply_overrides(str(copy), list(overrides))
    return copy.read_bytes().decode()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_setting_what_is_set_already_changes_nothing(file, tmp_path):
    assert after(file, tmp_path, "compute.threads=1") == file.read_text()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize(
    "override",
    [
        "models.{second}.attn_only={other}",
        "models.{last}.seed=7",
        "train.learning_rate=0.125",
        "evaluation.early=[{early},{late}]",
    ],
)
def test_one_value_is_one_line(file, override, tmp_path):
    config = load_config(file)
    window, models = config.evaluation.early, list(config.models)
    override = override.format(
        early=window[0],
        late=window[1] - 1,
        second=models[1],
        other=str(not config.models[models[1]].attn_only).lower(),
        last=models[-1],
    )
    old = file.read_text().splitlines()
    new = after(file, tmp_path, override).splitlines()
    changed = [line for line, before in zip(new, old, strict=True) if line != before]
    value = override.rpartition("=")[2].rpartition(",")[2].rstrip("]")
    assert len(changed) == 1
    assert re.search(rf" {value}([,}}].*)?( +#.*)?$", changed[0])
