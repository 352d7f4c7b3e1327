"""What summarize writes is what the report reads: the same classes, the same values."""

import json
from types import SimpleNamespace
from typing import cast

import pytest
from made_behaviours import GUESSES, SORTS
from made_summary import CONFIG, model

from induction.config import StudyConfig, load_config
from induction.errors import StudyError
from induction.files import read_record, write_record
from induction.paths import find_study
from induction.study.summary import ModelSummary, read_summaries
from induction.study.verdicts import Verdict, judge

ZOO = [
    model("one", 1),
    model("two", 2, 3e6, behaviours=(SORTS, GUESSES)),
    model("smeared", 1, 1e6, smeared=True),
]
KIND = dict[str, ModelSummary]


def config_of(models: dict[str, ModelSummary]) -> StudyConfig:
    entries = {name: each.entry for name, each in models.items()}
    return cast("StudyConfig", SimpleNamespace(studied=entries))


def test_models_come_back_as_they_were(tmp_path):
    (entry,) = load_config(find_study().root / "params/pretrained.yaml").external.values()
    other = model("theirs", 30, 1e9)
    vars(other)["entry"] = entry
    models = {each.name: each for each in (*ZOO, other)}
    write_record(tmp_path / "details.json", KIND, models)
    assert read_summaries(tmp_path / "details.json", config_of(models)) == models


def test_verdicts_come_back_as_they_were_and_whole_numbers_stay_whole(tmp_path):
    verdicts, file = judge(ZOO, CONFIG.verdicts), tmp_path / "verdicts.json"
    write_record(file, list[Verdict], verdicts)
    assert read_record(file, list[Verdict]) == verdicts
    (depths,) = (v["thresholds"] for v in json.loads(file.read_text()) if v["argument"] == 6)
    assert isinstance(depths["min_depths"], int)


def test_a_record_can_be_kept_short(tmp_path):
    file = tmp_path / "values.json"
    values = {"tokens": 2_809_634.1159, "small": -0.000123456789, "count": 123_456_789}
    write_record(file, dict[str, int | float], values, digits=7)
    found = json.loads(file.read_text())
    assert found == {"tokens": 2_809_634.0, "small": -0.0001234568, "count": 123_456_789}


def test_a_record_of_another_version_names_what_it_lacks(tmp_path):
    file = tmp_path / "details.json"
    write_record(file, KIND, {"two": ZOO[1]})
    rows = json.loads(file.read_text())
    del rows["two"]["kinds"]
    file.write_text(json.dumps(rows))
    with pytest.raises(StudyError, match=r"details\.json: two\.kinds: Field required"):
        read_summaries(file, config_of({"two": ZOO[1]}))
