"""Comparing runs: what differs, where a run's files come from, and the page."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import md5
from pathlib import Path
from typing import Any

import page_checks
import polars as pl
import pytest
from made_runs import PIPELINE, entry, params, verdict, write_measurements, write_run
from pypdf import PdfReader
from ruamel.yaml import YAML
from smoke_study import Study

from induction.compare import __main__ as command
from induction.compare import glance, loss_space, page, tables
from induction.compare.comparison import Comparison
from induction.compare.loss_space import CommonSpace
from induction.compare.publish import publish
from induction.compare.revisions import copy_run, head, lay_out
from induction.compare.stages import outdated
from induction.errors import StudyError
from induction.files import read_json, verify_folder, write_json
from induction.paths import StudyPaths
from induction.runs.metrics import judge, seed_spreads
from induction.runs.parameters import ABSENT, differences
from induction.runs.run import Run, load_run

ROOT = Path(__file__).parents[2]
ZOO = {"shallow": entry(1), "deep": entry(2), "deep-s1": entry(2, seed=1)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> tuple[Path, Path]:
    """A and B: one model with another seed, one gone, one new, and another threshold."""
    root = tmp_path_factory.mktemp("runs")
    changed = {"shallow": entry(1), "deep": entry(2, seed=9), "deeper": entry(3)}
    write_run(root / "a", params(ZOO), commit="a" * 40, date="2026-01-02")
    other = params(changed, phase_change={"min_tokens": 90_000}, extra={"on": True})
    write_run(root / "b", other, commit="b" * 40, date="2026-01-03")
    return root / "a", root / "b"


@pytest.fixture
def two(folders, tmp_path) -> tuple[Path, Path]:
    """Copies of both that a test may change."""
    for folder, name in zip(folders, "ab", strict=True):
        shutil.copytree(folder, tmp_path / name)
    return tmp_path / "a", tmp_path / "b"


def compare(a: Path, b: Path) -> Comparison:
    return Comparison(load_run(a), load_run(b))


@contextmanager
def edited(path: Path) -> Iterator[Any]:
    """The values of a JSON or YAML file, to be changed in place."""
    in_json = path.suffix == ".json"
    values = read_json(path) if in_json else YAML(typ="safe").load(path)
    yield values
    write_json(path, values) if in_json else YAML().dump(values, path)


def keep_only(folder: Path, *names: str) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.name not in names:
            path.unlink()


def copied_reports(root: Path) -> Path:
    """The sources of the report, in a checkout of their own."""
    ignored = shutil.ignore_patterns("_output", ".quarto")
    return Path(shutil.copytree(ROOT / "reports", root / "reports", ignore=ignored))


def test_parameters_that_differ_are_named_with_both_values(folders):
    comparison = compare(*folders)
    found = {d.key: (d.a, d.b) for d in comparison.parameters}
    assert found == {
        "models.deep.seed": (0, 9),
        "phase_change.min_tokens": (100_000, 90_000),
        "extra.on": (ABSENT, True),
    }
    assert (comparison.only_a, comparison.only_b) == (["deep-s1"], ["deeper"])


def test_a_model_of_others_that_one_run_has_stands_under_external(tmp_path):
    theirs = {"source": "someone/model", "tokenizer": "someone/model"}
    a = write_run(tmp_path / "a", params(ZOO))
    b = write_run(tmp_path / "b", params(ZOO, external={"theirs": theirs}))
    comparison = compare(a.root, b.root)
    assert comparison.parameters == []
    rows = tables.parameters(comparison).splitlines()[2:]
    assert rows == ["| `external.theirs` | – | in B alone |"]


def test_a_copy_of_a_run_has_what_was_measured_of_models_of_others(tmp_path):
    values = params(ZOO, external={"theirs": {"source": "someone/model"}})
    paths = write_run(tmp_path / "run", values)
    write_measurements(paths, params({"theirs": entry(2)}), "theirs")
    copy_run(paths, tmp_path / "small", with_losses=False)
    copy_run(paths, tmp_path / "whole", with_losses=True)
    assert load_run(tmp_path / "small").environments["theirs"]
    assert set(loss_space._losses(load_run(tmp_path / "whole"))) == {*ZOO, "theirs"}


def test_a_model_known_at_one_moment_has_no_curve_to_draw(two):
    path = two[1] / "data" / "results" / "curves.csv"
    curves = pl.read_csv(path)
    last = pl.col("tokens") == curves["tokens"].max()
    curves.filter((pl.col("model") != "deeper") | last).write_csv(path)
    comparison = compare(*two)
    assert "deeper" in comparison.changed_models
    assert "deeper" not in comparison.drawn_models
    assert "deep-s1" in comparison.drawn_models


@pytest.mark.parametrize(
    ("a", "b", "differ"),
    [(1, 1.0, False), (1, True, True), ([1, 2], [1, 2], False), ([1, 2], [2, 1], True), ("", 0, 1)],
)
def test_values_differ_as_they_would_in_yaml(a, b, differ):
    assert bool(differences({"x": {"y": a}}, {"x": {"y": b}})) == differ


@pytest.mark.parametrize(
    ("a", "b", "ends_a", "ends_b", "mark"),
    [
        (1.0, 1.0, (0.9, 1.1), (0.8, 1.2), "same"),
        (1.0, 1.1, (0.9, 1.1), (1.0, 1.2), "within"),
        (1.0, 1.2, (0.9, 1.1), (1.1, 1.3), "within"),
        (1.0, 1.3, (0.9, 1.1), (1.2, 1.4), "beyond"),
        (1.3, 1.0, (1.2, 1.4), (0.9, 1.1), "beyond"),
        (None, 1.0, None, (0.9, 1.1), "appears"),
        (1.0, None, (0.9, 1.1), None, "vanishes"),
        (None, None, None, None, "same"),
        (1.0, 9.0, None, (8.9, 9.1), "no interval"),
    ],
)
def test_marks(a, b, ends_a, ends_b, mark):
    assert judge(a, b, ends_a, ends_b) == mark


def test_metrics_of_both_runs_stand_side_by_side(folders):
    rows = {(row.model, row.metric): row for row in compare(*folders).rows}
    onset = rows["deep", "onset_tokens"]
    assert (onset.a, onset.b, onset.mark) == (200_000, 380_000, "beyond")
    assert {row.mark for (model, _), row in rows.items() if model == "shallow"} == {"same"}
    assert rows["deeper", "loss"].mark == rows["deep-s1", "loss"].mark == "one run"
    assert not any(metric in ("band_tokens", "band_complete") for _, metric in rows)


def test_models_that_differ_in_their_seed_alone_are_a_yardstick(folders):
    (spread,) = seed_spreads(load_run(folders[0]), "A")
    assert spread.models == ("deep", "deep-s1")
    assert spread.spreads["onset_tokens"] == pytest.approx(20_000)
    assert seed_spreads(load_run(folders[1]), "B") == []


def test_twins_with_one_seed_are_no_yardstick(tmp_path):
    write_run(tmp_path, params({"deep": entry(2), "twin": entry(2)}))
    assert seed_spreads(load_run(tmp_path), "A") == []


def test_a_record_of_stages_that_is_no_mapping_is_refused(tmp_path):
    write_run(tmp_path, params({"deep": entry(2)}))
    (tmp_path / "dvc.lock").write_text("- stages\n")
    with pytest.raises(StudyError, match=r"dvc\.lock: no mapping of keys to values"):
        load_run(tmp_path).stages  # noqa: B018


def test_an_old_metrics_file_holds_its_intervals_itself(two):
    paths = StudyPaths(two[0])
    with edited(paths.metrics) as metrics:
        metrics["models"]["deep"]["onset_interval_tokens"] = [150_000, 160_000]
    paths.details.unlink()
    old = load_run(two[0])
    assert old.interval("deep", "onset_tokens") == (150_000, 160_000)
    assert old.interval("deep", "icl_score") is None
    assert "intervals and heads" in old.missing


def test_verdicts_that_changed_name_the_checks_that_did(two):
    write_json(StudyPaths(two[0]).verdicts, [verdict(1, "supported", True)])
    failed = [verdict(1, "not supported", False, max_lag=0.1), verdict(2, "supported", True)]
    write_json(StudyPaths(two[1]).verdicts, failed)
    first, second = compare(*two).verdicts
    assert (first.a, first.b, first.differs) == ("supported", "not supported", True)
    assert first.thresholds_differ
    assert first.checks == (("a head forms", ("deep",), True, False),)
    assert (second.a, second.b, second.differs) == (None, "supported", True)


def test_stages_that_re_ran_say_because_of_what(folders):
    found = {rerun.stage: rerun for rerun in compare(*folders).reruns}
    assert set(found) == {"measure@deep", "measure@deep-s1", "measure@deeper", "summarize"}
    assert found["measure@deep"].parameters == ("models.deep.seed",)
    assert found["measure@deep-s1"].outcome == "only in A"
    assert "measure@deep" in found["summarize"].upstream


def test_stages_stand_in_the_order_of_the_pipeline(two):
    with edited(two[1] / "dvc.lock") as lock:
        lock["stages"] = dict(reversed(lock["stages"].items()))
    order = [rerun.stage for rerun in compare(*two).reruns if rerun.outcome != "only in A"]
    assert order[-1] == "summarize"
    assert len(order) > 1
    back = {"path": "data/results/metrics.json", "md5": "0" * 32}
    with edited(two[1] / "dvc.lock") as lock:
        lock["stages"]["measure@deep"]["deps"].append(back)  # a circle
        lock["stages"]["summarize"]["outs"].append(back)
    assert {rerun.stage for rerun in compare(*two).reruns} >= set(order)


def test_a_stage_with_other_code_and_the_same_outputs(two):
    lock = two[1] / "dvc.lock"
    lock.write_text((two[0] / "dvc.lock").read_text().replace("md5: code", "md5: rewritten", 1))
    shutil.copy(two[0] / "params.yaml", two[1])
    (rerun,) = compare(*two).reruns
    assert (rerun.stage, rerun.outcome) == ("measure@shallow", "same outputs")
    assert rerun.code == ("src/measure.py",)


def test_results_that_are_not_those_of_the_parameters_are_found_out(two):
    assert not outdated(load_run(two[0]))
    with edited(two[0] / "params.yaml") as values:
        values["models"]["deep"]["seed"] = 3
        values["models"]["new"] = entry(1)
    with edited(two[0] / "dvc.lock") as lock:
        metrics = {"path": "data/results/metrics.json", "md5": "0" * 32}
        lock["stages"]["summarize"]["outs"].append(metrics)
    found = outdated(load_run(two[0]))
    assert found.parameters == ("models.deep.seed",)
    assert found.files == ("data/results/metrics.json",)
    assert found.models == ("new",)
    warning = glance.warnings(compare(*two))
    assert "models.deep.seed" in warning
    assert "out of date" in warning


def test_both_runs_are_fitted_together_where_both_have_losses(folders):
    space = loss_space.common_space(*(load_run(folder) for folder in folders))
    assert isinstance(space, CommonSpace)
    assert space.how == "joint"
    assert space.alike == {"shallow"}
    assert space.a["shallow"].equals(space.b["shallow"])
    assert not space.a["deep"].equals(space.b["deep"])
    assert set(space.b) == {"shallow", "deep", "deeper"}


@pytest.mark.parametrize(("gone", "how"), [(0, "projected into A"), (1, "projected into B")])
def test_a_run_without_losses_lends_its_components(two, gone, how):
    for losses in (two[gone] / "data" / "measurements").glob("*/losses.npz"):
        losses.unlink()
    space = loss_space.common_space(*(load_run(folder) for folder in two))
    assert isinstance(space, CommonSpace)
    assert space.how == how
    assert space.alike == {"shallow"}  # its losses, projected, are where its own scores are


def test_two_runs_without_losses_need_the_same_components(two):
    for folder in two:
        shutil.rmtree(folder / "data" / "measurements")
    assert loss_space.common_space(*map(load_run, two)) == "no losses"
    space = loss_space.common_space(load_run(two[0]), load_run(two[0]))
    assert isinstance(space, CommonSpace)
    assert space.how == "the same basis"
    assert space.alike == set(ZOO)


def test_losses_on_other_tokens_share_no_space(two):
    with edited(two[1] / "data" / "tokens" / "manifest.json") as manifest:
        for file in manifest["files"]:
            file["sha256"] = "1" * 64
    assert loss_space.common_space(*map(load_run, two)) == "other tokens"


def test_text_environment_and_packages_that_changed(two):
    with edited(two[1] / "data" / "tokens" / "meta.json") as corpus:
        corpus["sources"][0]["sha256"] = "f" * 64
        corpus["d_vocab"] = 1024
    (two[1] / "requirements.lock").write_text("numpy==2.1.0\ntorch==2.13.0\nrich==14.0\n")
    comparison = compare(*two)
    changed = {fact.name: (fact.a, fact.b) for fact in comparison.facts if fact.differs}
    assert changed == {"entries of the vocabulary": ("512", "1,024")}
    assert [(p.name, p.a, p.b) for p in comparison.packages] == [
        ("numpy", "2.0.0", "2.1.0"),
        ("rich", None, "14.0"),
    ]
    assert [(s.name, s.b) for s in comparison.sources] == [("own/a.txt", "f" * 12)]


def test_a_gpu_of_one_run_is_told(two):
    assert "GPU" not in {fact.name for fact in compare(*two).facts}
    for manifest in (two[1] / "data" / "measurements").glob("*/manifest.json"):
        with edited(manifest) as about:
            about["environment"]["gpu"] = "H100"
    [gpu] = [fact for fact in compare(*two).facts if fact.name == "GPU"]
    assert (gpu.a, gpu.b, gpu.differs) == ("none", "H100", True)


def test_a_run_with_parameters_and_metrics_alone_still_compares(two):
    keep_only(two[0], "params.yaml", "metrics.json", "run.json")
    comparison = compare(*two)
    assert {row.mark for row in comparison.rows if row.model == "deep"} > {"no interval"}
    assert glance.at_a_glance(comparison)["Verdicts"].startswith("Not compared")
    assert "has no intervals and heads, verdicts, curves" in glance.omissions(comparison)
    assert page.absent(comparison) >= {"fig-pca", "fig-curves", "fig-icl", "tbl-stages"}
    for table in (tables.metrics, tables.origins, tables.verdicts, tables.runs):
        assert table(comparison)


def test_runs_without_a_difference_say_so(folders):
    comparison = compare(folders[0], folders[0])
    assert comparison.identical
    assert list(glance.at_a_glance(comparison)) == ["The same"]
    assert not compare(*folders).identical


def test_cells_that_would_be_empty_are_taken_out_and_all_others_stay():
    source = (ROOT / "reports" / "compare" / "index.qmd").read_text()
    gone = {"fig-pca", "tbl-stages"}
    left = page.without(source, gone)
    before, after = (set(re.findall(r"(?m)^#\| label: (.+)$", text)) for text in (source, left))
    assert before > after == before - gone
    assert left.count("## ") == source.count("## ")


def test_the_page_has_every_float_that_the_comparison_may_leave_out(two):
    source = (ROOT / "reports" / "compare" / "index.qmd").read_text()
    keep_only(two[0], "params.yaml", "metrics.json")
    for label in page.absent(compare(two[0], two[0])):
        assert f"#| label: {label}\n" in source


# --- the page -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rendered(folders, tmp_path_factory) -> tuple[str, Path]:
    """The page of A and B, as text and as a folder that holds the PDF."""
    reports = copied_reports(tmp_path_factory.mktemp("checkout"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUARTO", "")
        page.render_page(StudyPaths(reports.parent), compare(*folders))
    output = reports / "_output"
    return (output / page.PAGE).read_text(encoding="utf-8"), output


def test_the_page_shows_what_differs(rendered):
    text, _ = rendered
    plain = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    assert "A: a · B: b" in plain
    assert "models.deep.seed" in plain
    assert "phase_change.min_tokens" in plain
    assert "●" in plain
    assert "Traceback" not in text


def test_the_page_is_whole_and_its_references_resolve(rendered):
    text, output = rendered
    page_checks.check_page(output / page.PAGE)
    targets = set(re.findall(r'href="#([^"]+)"', text))
    assert {"fig-curves", "fig-pca", "tbl-stages", "tbl-parameters"} <= targets
    assert "@tbl-" not in text
    assert "@fig-" not in text


def test_the_pdf_says_the_same(rendered):
    page_text, output = rendered
    assert sorted(path.name for path in output.iterdir()) == [page.PAGE, page.PDF]
    text = "".join(own.extract_text() for own in PdfReader(output / page.PDF).pages)
    assert "models.deep.seed" in text
    captions = set(re.findall(r"(?:Figure|Table) \d+:", re.sub(r"&nbsp;|\xa0", " ", page_text)))
    assert len(captions) > 8
    assert captions <= set(re.findall(r"(?:Figure|Table) \d+:", text.replace("\xa0", " ")))


def test_an_earlier_page_outlives_a_failing_comparison(folders, tmp_path, monkeypatch):
    reports = copied_reports(tmp_path)
    (reports / "_output").mkdir()
    (reports / "_output" / page.PAGE).write_text("earlier")
    document = reports / "compare" / "index.qmd"
    document.write_text(document.read_text().replace("load_comparison()", "1 / 0"))
    monkeypatch.setenv("QUARTO", "")
    with pytest.raises(StudyError, match="division by zero"):
        page.render_page(StudyPaths(tmp_path), compare(folders[0], folders[0]))
    assert (reports / "_output" / page.PAGE).read_text() == "earlier"


# --- where runs come from -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Study:
    """A git and DVC repository with a tiny study: tag `one`, experiment `reseeded`."""
    root = tmp_path_factory.mktemp("repository")
    repository = Study(root)
    repository.environment["PYTHONPATH"] = str(ROOT / "src")  # it has no code of its own
    repository.run("git", "init", "--quiet", "--initial-branch", "main")
    repository.run("git", "config", "user.name", "Test")
    repository.run("git", "config", "user.email", "test@example.org")
    repository.run("dvc", "init", "--quiet")
    shutil.copy(ROOT / "tests" / "helpers" / "made_runs.py", root)
    shutil.copy(ROOT / ".gitignore", root)
    (root / "dvc.yaml").write_text(PIPELINE)
    (root / "requirements.lock").write_text("numpy==2.0.0\n")
    YAML().dump(params({"shallow": entry(1), "deep": entry(2)}), root / "params.yaml")
    repository.run("dvc", "repro", "--quiet")
    repository.commit("one")
    repository.run("git", "tag", "one")
    repository.run("dvc", "exp", "run", "--quiet", "--name", "reseeded", "-S", "models.deep.seed=4")
    return repository


def laid_out(repository: Study, name: str) -> Run:
    return load_run(lay_out(repository.paths, name))


@contextmanager
def moved(path: Path, away: Path) -> Iterator[None]:
    path.rename(away)
    try:
        yield
    finally:
        away.rename(path)


@pytest.fixture
def without_cache(repository):
    """While a test runs, the DVC cache is somewhere else."""
    with moved(repository.root / ".dvc" / "cache", repository.root / "away"):
        yield


def test_a_tag_and_an_experiment_are_laid_out_with_all_their_files(repository):
    before, after = laid_out(repository, "one"), laid_out(repository, "reseeded")
    assert before.commit == repository.run("git", "rev-parse", "one")
    assert before.label == f"one ({str(before.commit)[:12]})"
    assert (before.missing, before.left_out) == ((), ())
    comparison = Comparison(before, after)
    assert [d.key for d in comparison.parameters] == ["models.deep.seed"]
    assert comparison.seed_alone == ["deep"]
    assert comparison.changed_models == ["deep"]
    assert [r.stage for r in comparison.reruns] == ["measure@deep", "summarize"]
    assert comparison.space is not None
    assert comparison.space.how == "joint"


def test_the_workspace_is_what_the_experiment_left(repository):
    workspace = laid_out(repository, "workspace")
    assert Comparison(laid_out(repository, "reseeded"), workspace).identical
    assert (workspace.commit, workspace.exact) == (repository.run("git", "rev-parse", "HEAD"), 0)


@pytest.mark.parametrize("name", ["HEAD~1", "maim", "reseded", "no-such-thing", "published:x"])
def test_unknown_runs_are_refused_in_one_line(repository, name):
    with pytest.raises(StudyError) as error:
        lay_out(repository.paths, name)
    assert str(error.value).startswith(f"{name}: ")
    assert "\n" not in str(error.value)
    near = {"maim": "main", "reseded": "reseeded", "no-such-thing": "known: workspace"}
    assert near.get(name, "") in str(error.value)


def test_results_that_are_in_no_cache_come_with_the_way_to_get_them(repository, without_cache):
    with pytest.raises(StudyError, match=r"one: data/results/.*: `make study` makes"):
        lay_out(repository.paths, "one")  # which is checked out
    with pytest.raises(StudyError, match="`dvc exp apply reseeded && make study`"):
        lay_out(repository.paths, "reseeded")


def test_a_remote_serves_what_the_cache_lost(repository, tmp_path, without_cache):
    """Even one that was added after the commit."""
    shutil.copytree(repository.root / "away" / "files", tmp_path / "files")
    repository.run("dvc", "remote", "add", "--quiet", "--default", "store", str(tmp_path))
    try:
        run = laid_out(repository, "one")
        assert (run.missing, run.left_out) == ((), ())
        assert isinstance(loss_space.common_space(run, run), CommonSpace)
        shutil.rmtree(tmp_path / "files")
        with pytest.raises(StudyError, match="nor in a remote: `dvc pull` gets them"):
            lay_out(repository.paths, "one")
    finally:
        repository.run("dvc", "remote", "remove", "store")


def test_lost_losses_alone_do_not_hinder(repository):
    """They are the large part, and the page can do without."""
    losses = (repository.paths.measurements("deep") / "losses.npz").read_bytes()
    digest = md5(losses, usedforsecurity=False).hexdigest()
    cache = repository.root / ".dvc" / "cache" / "files" / "md5"
    with moved(cache / digest[:2] / digest[2:], repository.root / "lost"):
        run = laid_out(repository, "reseeded")
    assert "per-token losses are not in the cache" in run.left_out[0]
    assert run.details


def test_a_commit_without_results_is_no_run(repository):
    tree = repository.run("git", "hash-object", "-t", "tree", "-w", "/dev/null")
    commit = repository.run("git", "commit-tree", tree, "-m", "empty")
    with pytest.raises(StudyError, match=f"^{commit}: "):
        lay_out(repository.paths, commit)


def test_publishing_keeps_a_run_that_can_be_compared(repository, monkeypatch):
    with pytest.raises(StudyError, match="commit it first"):
        publish(repository.paths, "made")
    repository.commit("reseeded")
    with edited(repository.paths.params) as values:
        values["models"]["deep"]["seed"] = 5
    repository.commit("behind")
    with pytest.raises(StudyError, match=r"behind \(measure@deep"):
        publish(repository.paths, "made")
    repository.run("git", "reset", "--quiet", "--hard", "HEAD~1")
    assert publish(repository.paths, "made") < 300_000
    folder = repository.paths.published_runs / "made"
    assert StudyPaths(folder).metrics.read_bytes() == repository.paths.metrics.read_bytes()
    assert not list(folder.rglob("losses.npz"))
    assert "made" in repository.run("git", "status", "--porcelain", "--untracked-files=all")

    published = laid_out(repository, "published")
    assert published.label == "published:made"
    comparison = Comparison(published, laid_out(repository, "workspace"))
    assert comparison.identical
    assert comparison.space is not None
    assert comparison.space.how == "projected into A"
    with pytest.raises(StudyError, match=r"did you mean published:made"):
        lay_out(repository.paths, "published:mode")
    monkeypatch.chdir(repository.root)
    with pytest.raises(StudyError, match="no-such-revision"):
        command.main(["published", "no-such-revision"])


@pytest.mark.parametrize("arguments", [[], [""], ["a", "b", "c"], ["--help"]])
def test_missing_arguments_give_one_usage_line(arguments, capsys):
    assert command.main(arguments) == 2
    assert capsys.readouterr().err.startswith("usage: ")


# --- the published run of this repository ---------------------------------------------------------


def committed(name: str) -> str:
    """A file of HEAD, or of the folder where that is no git checkout."""
    command = ["git", "-C", str(ROOT), "show", f"HEAD:{name}"]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else (ROOT / name).read_text()


PUBLISHED = StudyPaths(ROOT).published_runs / "laptop"
RENEW = "run `make study && make publish NAME=laptop` on the default parameters and commit it"


def test_the_published_run_has_the_default_parameters():
    """Those of HEAD: whoever edits params.yaml is not asked to publish."""
    yaml = YAML(typ="safe")
    published, default = yaml.load(PUBLISHED / "params.yaml"), yaml.load(committed("params.yaml"))
    keys = [found.key for found in differences(published, default)]
    assert not keys, f"data/published/laptop is behind params.yaml ({', '.join(keys)}): {RENEW}"


def test_the_published_metrics_are_those_of_the_study():
    """Of HEAD, or of the results at hand where they are about to be committed."""
    published = read_json(PUBLISHED / "data" / "results" / "metrics.json")
    name = "data/results/metrics.json"
    known = [json.loads(committed(name)), json.loads((ROOT / name).read_text())]
    assert published in known, f"data/published/laptop has other metrics than {name}: {RENEW}"


def test_the_published_run_is_whole_and_small():
    verify_folder(PUBLISHED)
    run = load_run(PUBLISHED)
    assert (run.missing, run.left_out) == ((), ())
    assert not outdated(run)
    assert set(run.metrics) == set(run.entries) == set(run.environments)
    assert isinstance(run.curves, pl.DataFrame)
    size = sum(path.stat().st_size for path in PUBLISHED.rglob("*") if path.is_file())
    assert size < 75_000 * len(run.metrics)
    assert head(StudyPaths(ROOT)) is None or run.commit
