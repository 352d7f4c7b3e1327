"""External models added to a study that has run: only their stages run, and they are in the report.

One has three revisions, a tokenizer with the first alone, and a fourth without weights; the other
is a folder that is a model, of a single revision."""

import json
import re
import shutil
import sys

import page_checks
import pdf_checks
import pytest
from made_external import random_external, save_external
from smoke_study import Study
from tokenizers import Tokenizer

from induction.config import load_config

NAME, ALONE = "theirs", "alone"
ENTRY = """external:
  theirs:
    source: others
    revisions:
      step0: 0
      step40: 40
      step60: 60
      step80: 80
    batch_tokens: 512
    n_layers: 3
    device: cpu
    dtype: float32
  alone:
    source: models/alone
    batch_tokens: 100000
    n_layers: 3
    device: cpu
    dtype: float32
"""


@pytest.fixture(scope="module")
def extended(study, tmp_path_factory) -> Study:
    """A copy of the study with models of others, run again."""
    root = tmp_path_factory.mktemp("extended") / "clone"
    shutil.copytree(study.root, root, symlinks=True)
    tokenizer = Tokenizer.from_file(str(root / "data" / "tokens" / "tokenizer.json"))
    for seed, name in enumerate(("step0", "step40", "step80")):
        model = random_external("gpt_neox", seed, tokenizer.get_vocab_size())
        save_external(model, root / "others" / name, tokenizer)
        if seed:
            (root / "others" / name / "tokenizer.json").unlink()
    (root / "others" / "step60").mkdir()
    shutil.copy(root / "others/step40/config.json", root / "others/step60/config.json")
    alone = random_external("llama", 3, tokenizer.get_vocab_size())
    save_external(alone, root / "models" / "alone", tokenizer)
    params = root / "params.yaml"
    text = params.read_text()
    assert "external: {}" in text
    params.write_text(re.sub(r"external: \{\}.*\n", ENTRY, text))
    copy = Study(root)
    copy.first_output = copy.run(sys.executable, "-m", "induction.runner", "--jobs", "2")
    return copy


def read_page(study: Study) -> str:
    """The report on one line: pandoc breaks lines where it likes."""
    return " ".join((study.root / "reports/_output/index.html").read_text().split())


def test_only_what_takes_it_in_runs(extended):
    kinds = ("measure", "ablate", "behave", "steer")
    for stage in ("revisions", *(f"{kind}-external" for kind in kinds)):
        assert f"{stage}@{NAME}" in extended.first_output
    assert "train@" not in extended.first_output
    assert "all done" in extended.first_output


def test_results_and_report_hold_it_beside_our_own(extended):
    config = load_config(extended.root / "params.yaml")
    metrics = json.loads((extended.root / "data/results/metrics.json").read_text())["models"]
    assert set(metrics) == {*config.models, NAME, ALONE}
    assert metrics[NAME]["loss_per_character"] > 0
    page = read_page(extended)
    assert f"<code>{NAME}</code> and <code>{ALONE}</code>, trained by others on other text" in page
    assert f"external.{NAME}" in page
    figures = extended.root / "reports/_output/figures"
    for name in ("fig-all", "fig-icl", "fig-pca", "fig-analysis", "fig-circuits"):
        assert f"{NAME}," in (figures / f"{name}.csv").read_text()
    page_checks.check_page(extended.root / "reports/_output/index.html")
    pdf_checks.check_pdf(extended.root / "reports/_output/report.pdf")


def test_hole_is_left_out_and_told_in_log_report_and_provenance(extended):
    log = (extended.root / f".scratch/logs/revisions@{NAME}.log").read_text()
    assert f"{NAME}: step60: left out: has no weights" in log
    page = read_page(extended)
    assert "Revisions left out: <code>step60</code>" in page
    pinned = json.loads((extended.root / f"data/external/{NAME}/revisions.json").read_text())
    assert [each["name"] for each in pinned["left_out"]] == ["step60"]


def test_one_model_is_its_only_revision_and_has_no_onset(extended):
    metrics = json.loads((extended.root / "data/results/metrics.json").read_text())["models"]
    assert metrics[ALONE]["onset_tokens"] is None
    assert metrics[ALONE]["loss"] > 0
    page = read_page(extended)
    assert "in front of every text stands <code>&lt;|start|&gt;</code>" in page


def test_a_second_run_has_nothing_to_do(extended):
    assert "nothing to do" in extended.run(sys.executable, "-m", "induction.runner")
