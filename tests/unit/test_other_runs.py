"""What the report says of the published runs beside its own."""

from types import SimpleNamespace

from made_runs import entry, params, write_run
from made_summary import made_results, model

from induction.files import write_json, write_record
from induction.paths import StudyPaths
from induction.report.contexts import context
from induction.report.other_runs import other_runs
from induction.report.results import Results
from induction.study.over_seeds import OverSeeds, SeedVerdict
from induction.study.verdicts import Verdict

ZOO = {"flat": entry(1), "deep": entry(2), "deep-b": entry(2, seed=1), "alone": entry(2, seed=5)}


def made(paths: StudyPaths) -> Results:
    verdict = Verdict(1, "Co-occurrence", "correlational", {}, "inconclusive", ())
    config = SimpleNamespace(name="laptop")
    return made_results(model("deep"), paths=paths, config=config, verdicts=[verdict])


def publish(paths: StudyPaths, name: str, **zoo: dict) -> StudyPaths:
    return write_run(paths.root / "data" / "published" / name, params(zoo, name=name))


def test_without_another_published_run_it_is_said_in_a_sentence(tmp_path):
    paths = write_run(tmp_path, params(ZOO, name="laptop"))
    publish(paths, "laptop", **ZOO)
    assert other_runs(made(paths)) == "No other run of this study is published."


def test_every_run_has_its_verdicts_in_a_row(tmp_path):
    paths = write_run(tmp_path, params(ZOO, name="laptop"))
    publish(paths, "shallow", flat=entry(1))
    told = other_runs(made(paths)).splitlines()
    assert "| `laptop`, this one | 1 | **inconclusive** |" in told
    assert "| `shallow` | 1 | not supported |" in told
    assert "prose" not in " ".join(told)


def test_a_run_that_was_tested_over_seeds_has_a_second_row(tmp_path):
    paths = write_run(tmp_path, params(ZOO, name="laptop"))
    seeds = publish(paths, "extended", flat=entry(1))
    tested = SeedVerdict(1, "", (5, 5), corrected=0.01, outcome="supported")
    write_record(seeds.seeds, OverSeeds, OverSeeds([tested], []))
    told = other_runs(made(paths)).splitlines()
    assert "| `extended` | 1 | not supported |" in told
    assert "| `extended`, tested over seeds | 1 | supported |" in told


def test_prose_is_told_apart_by_intervals_and_by_seeds(tmp_path):
    paths = write_run(tmp_path, params(ZOO, name="laptop"))
    prose = publish(paths, "prose", **{name: ZOO[name] for name in ("flat", "deep", "deep-b")})
    metrics = {
        "flat": {"icl_score": -0.1, "onset_tokens": None},
        "deep": {"icl_score": -1.5, "onset_tokens": 230_000, "max_prefix_matching": 0.1},
        "deep-b": {"icl_score": -1.5, "onset_tokens": 220_000},
    }
    ends = {"icl_score": [-1.51, -1.49], "onset_tokens": [229_000, 231_000]}
    details = {"deep": {"intervals": ends}, "deep-b": {"intervals": ends}}
    write_json(prose.metrics, {"models": metrics})
    write_json(prose.details, details)
    told = other_runs(made(paths))
    cells = {
        (model, measure): differ
        for line in told.splitlines()
        if line.startswith("| `deep` | ") or line.startswith("| `flat` | ")
        for model, measure, _, _, differ in [[c.strip() for c in line.strip("|").split("|")]]
    }
    assert "On English prose, `deep` and `deep-b` of the same zoo" in told
    assert cells["`deep`", "ICL score"] == "yes"
    assert cells["`deep`", "onset"] == "within seeds"
    assert cells["`deep`", "prefix matching"] == "no interval"
    assert "`alone`" not in told
    write_json(prose.metrics, {"models": {"flat": metrics["flat"]}})
    assert "On English prose, no model of the same zoo has a phase change." in other_runs(
        made(paths)
    )


def publish_contexts(paths: StudyPaths) -> None:
    """Three seeds at each of three contexts, whose onset grows with the root of it; and at the
    middle one, batches as long as those of the others."""
    for name, size in (("context-128", 128), ("beyond", 256), ("context-512", 512)):
        zoo = {f"deep-s{seed}": entry(2, seed=seed) for seed in range(3)}
        if name == "beyond":
            zoo |= {
                f"deep-{batch}-s{seed}": entry(2, seed=seed, batch_tokens=batch)
                for seed in range(3)
                for batch in (1024, 4096)
            }
            zoo["clamped"] = entry(2, clamp="induction")
        train = {"batch_tokens": 8 * size}
        values = params(zoo, name=name, model={"n_ctx": size}, train=train)
        folder = write_run(paths.root / "data" / "published" / name, values)
        onset = 3e6 * (size / 256) ** 0.5
        row = {"band_complete": True, "icl_score": -0.4, "max_previous_token": 0.9}
        metrics = {
            model: row
            | {"onset_tokens": onset * (1 + 0.01 * own["seed"]), "heads_formed_tokens": onset * 1.2}
            | {"icl_removed_by_induction_heads": 0.9}
            for model, own in zoo.items()
        }
        write_json(folder.metrics, {"models": metrics})


def test_published_runs_at_other_contexts_make_one_series(tmp_path):
    paths = write_run(tmp_path, params(ZOO, name="laptop"))
    told = context(made(paths))
    assert told.startswith("**Verdict: not tested**. It takes the published runs `beyond`, ")
    publish_contexts(paths)
    told = context(made(paths))
    assert told.startswith("**Verdict: supported**. The claim: slopes of 0.5.")
    assert "the square of the context, is outside the interval" in told
    rows = [line[2:-2].split(" | ") for line in told.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[2:]] == ["128", "256", "512"]
    assert [bool(row[-1].strip()) for row in rows[2:]] == [True, False, True]
