"""What the report says of where it comes from, on states whose answer is known."""

from types import SimpleNamespace

import pytest
from made_summary import CONFIG, made_results

from induction.environment import changes
from induction.files import write_json
from induction.report import provenance
from induction.report.sentences import sentence

ENVIRONMENT = {
    **{"python": "3.11", "torch": "2.13", "system": "Linux", "machine": "x86_64"},
    **{"cpu_capability": "AVX2", "requirements_lock_sha256": "0123456789abcdef"},
}


@pytest.mark.parametrize(
    ("changed", "name", "stale", "told"),
    [
        (False, "laptop", [], None),
        (True, "laptop", [], "made from a state that is not committed (on top of `c0ffee`)."),
        (False, "mine", [], "made with the parameters `mine`, not the default study."),
        (False, "laptop", ["a", "b"], "(2 stages, of them `a`, `b`): `make study` finishes it."),
        (True, "mine", list("abcdefg"), "committed (on top of `c0ffee`), and made with the"),
        (True, "mine", list("abcdefg"), "study, and made from results that are behind"),
        (True, "mine", list("abcdefg"), "(7 stages, of them `a`, `b`, `c`, `d`, `e`, `f` …): `"),
    ],
)
def test_the_banner_gives_every_reason_not_to_cite(changed, name, stale, told, monkeypatch):
    monkeypatch.setattr(provenance, "commit", lambda results: ("c0ffee", changed))
    monkeypatch.setattr(provenance, "stale_stages", lambda results: stale)
    said = provenance.banner(made_results(config=SimpleNamespace(name=name)))
    assert said == "" if told is None else f"{told}" in said


def test_what_another_processor_changes_is_told_where_it_was_measured(tmp_path):
    results = made_results(paths=SimpleNamespace(portability=tmp_path / "portability.json"))
    assert provenance.reproducibility(results).endswith("move elsewhere was not measured.")
    scores = {"icl_score": -0.4, "loss": 2.9, "max_prefix_matching": 0.5, "max_previous_token": 0.9}
    study = {**scores, "onset_tokens": None}
    again = {**{key: value - 0.0125 for key, value in scores.items()}, "onset_tokens": 2e6}
    about = {"model": "two", "here": "AVX512", "there": "AVX2", "study": study, "again": again}
    write_json(results.paths.portability, {**about, "onset_difference": None})
    told = provenance.reproducibility(results)
    assert "moved whether there is a phase change at all, the ICL score by 0.013 nats, the" in told
    write_json(results.paths.portability, {**about, "onset_difference": -0.25})
    assert "moved the onset by 0.250 e-folds of tokens, the" in provenance.reproducibility(results)


def test_the_device_is_told_with_what_is_not_usual():
    usual = CONFIG.compute.model_copy(
        update={"device": "cpu", "threads": 1, "processes": 1, "dtype": "float32"}
    )
    told = {"compute": usual}
    assert sentence("provenance", "device", **told) == "cpu, 1 thread(s)"
    told["compute"] = usual.model_copy(update={"processes": 2, "dtype": "bfloat16"})
    assert sentence("provenance", "device", **told) == (
        "cpu, 1 thread(s), 2 processes to train a model, bfloat16 products in training"
    )


def test_the_environment_is_told_with_its_gpu_and_what_changed_since():
    told = sentence("provenance", "environment", made=ENVIRONMENT)
    assert told == (
        "Python 3.11, torch 2.13, Linux x86_64, a processor (AVX2), lock `0123456789ab`"
    )
    assert ", H200, lock" in sentence(
        "provenance", "environment", made=ENVIRONMENT | {"gpu": "H200"}
    )
    drift = sentence("provenance", "drift", now=ENVIRONMENT, packages=None)
    assert drift == f"the environment has changed since: now {told}"
    moved = changes({"a": "1", "c": "2"}, {"a": "2", "b": "3"})
    drift = sentence("provenance", "drift", now=ENVIRONMENT, packages=moved)
    assert drift.endswith(". packages: a 1 → 2; + b 3; − c 2")
