"""What a report says of where it comes from, on the smoke study."""

import json
from collections.abc import Iterator

import pytest
from smoke_study import Study

from induction.files import write_json
from induction.paths import StudyPaths
from induction.report import provenance
from induction.report.results import Results, load_results


@pytest.fixture
def results(study: Study) -> Iterator[Results]:
    """The results of the smoke study, whose inputs are put back after the test."""
    before = {name: (study.root / name).read_bytes() for name in ("params.yaml", "README.md")}
    yield load_results(StudyPaths(study.root))
    for name, content in before.items():
        (study.root / name).write_bytes(content)


def test_a_preset_is_named_at_the_top_and_nothing_else(results):
    banner = provenance.banner(results)
    assert "parameters `smoke`" in banner
    assert "not committed" not in banner
    assert "interrupted" not in banner


def test_results_behind_the_parameters_are_told(results):
    text = results.paths.params.read_text()
    assert "max_lag: 0.3" in text
    results.paths.params.write_text(text.replace("max_lag: 0.3", "max_lag: 0.4"))
    assert provenance.stale_stages(results) == ["summarize"]
    banner = provenance.banner(results)
    assert "interrupted study" in banner
    assert "`summarize`" in banner
    assert "not committed" in banner


def test_any_uncommitted_input_is_told(results):
    (results.paths.root / "README.md").write_text("changed")
    assert "not committed" in provenance.banner(results)


def test_the_date_is_that_of_the_commit(results, study):
    assert provenance.commit_date(results) == study.run("git", "log", "-1", "--format=%cs").strip()


def test_the_table_holds_the_digests_of_the_data(results):
    table = provenance.table(results)
    manifest = json.loads((results.paths.tokens / "manifest.json").read_text())
    for file in manifest["files"]:
        assert (file["sha256"] in table) == (file["name"] != "meta.json")
    assert "drift" not in table


def test_a_changed_environment_is_marked(results):
    results.paths.lock.write_text(results.paths.lock.read_text() + "new-package==1.0\n")
    try:
        table = provenance.table(results)
        assert "the environment has changed since" in table
        assert "packages: + new-package 1.0" in table
    finally:
        lines = results.paths.lock.read_text().splitlines(keepends=True)
        results.paths.lock.write_text("".join(lines[:-1]))


def test_the_tolerance_comes_from_the_measurement(results):
    before = results.paths.portability.read_bytes() if results.paths.portability.is_file() else None
    scores = {"icl_score": -0.4, "loss": 2.9, "max_prefix_matching": 0.5, "max_previous_token": 0.9}
    moved = {key: value + 0.0125 for key, value in scores.items()}
    measured = {"model": "attn-9l", "here": "AVX512", "there": "AVX2", "onset_difference": -0.25}
    try:
        write_json(results.paths.portability, {**measured, "study": scores, "again": moved})
        sentence = provenance.reproducibility(results)
        assert "`attn-9l`" in sentence
        assert "the onset by 0.250 e-folds" in sentence
        assert "the loss by 0.01" in sentence
        results.paths.portability.unlink()
        assert "was not measured" in provenance.reproducibility(results)
    finally:
        if before is not None:
            results.paths.portability.write_bytes(before)
