"""What the README and docs/ refer to is there."""

import re
import tomllib
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from induction.files import read_json
from induction.paths import StudyPaths
from induction.report.contexts import load_context_law

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    ROOT / "data/DATACARD.md",
    ROOT / "data/MODELCARD.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
METRICS = read_json(ROOT / "data/published/laptop/data/results/metrics.json")
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    cleaned = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(text))
    return {title.strip().replace(" ", "-") for title in cleaned}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in LINK.findall(page.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        place = (page.parent / name).resolve() if name else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_targets_of_make_exist(page):
    known = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z-]+)[ `]", page.read_text()))
    assert named <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_modules_that_are_run_exist(page):
    for module in re.findall(r"python -m (induction[\w.]*)", page.read_text()):
        place = ROOT / "src" / module.replace(".", "/")
        assert place.with_suffix(".py").is_file() or (place / "__main__.py").is_file(), module


def test_every_page_is_reached_from_the_readme():
    linked = {
        (ROOT / target.partition("#")[0]).resolve() for target in LINK.findall(PAGES[0].read_text())
    }
    assert set(PAGES[1:]) <= linked


def test_the_map_of_the_code_has_every_package():
    text = (ROOT / "docs/how-it-works.md").read_text()
    packages = {path.parent.name for path in (ROOT / "src/induction").glob("*/__init__.py")}
    assert not {name for name in packages if f"`src/induction/{name}/`" not in text}


def test_the_readme_is_one_that_is_read():
    assert PAGES[0].stat().st_size <= 15_000


def test_the_readmes_verdicts_are_those_of_the_published_runs():
    rows = re.findall(
        r"^\| (\d) [a-z -]+ \| ([^|]*) \| ([^|]*) \| ([^|]*) \| ([^|]*) \|$",
        PAGES[0].read_text(),
        re.MULTILINE,
    )
    assert [number for number, *_ in rows] == [str(n) for n in range(1, 7)]
    for place, name in enumerate(("laptop", "extended", "pretrained", "prose"), start=1):
        folder = ROOT / f"data/published/{name}/data/results"
        outcomes = {v["argument"]: v["outcome"] for v in read_json(folder / "verdicts.json")}
        if name == "extended":  # what is tested over seeds is told as that
            found = read_json(folder / "seeds.json")["verdicts"]
            outcomes |= {v["argument"]: v["outcome"] for v in found}
        told = [row[place].replace("*", "").partition(":")[0] for row in rows]
        assert told == list(outcomes.values()), name


def test_the_readmes_answers_since_the_paper_are_those_of_the_published_run():
    row = r"^\| [^|]*\? \| ([a-z]+) \| \*\*([a-z ]+)\*\*"
    told = re.findall(row, PAGES[0].read_text(), re.MULTILINE)
    asked = (
        *("bigrams", "control", "foresight", "bottleneck"),
        *("copying", "batch", "repetition", "geometry"),
    )
    for (run, outcome), question in zip(told, asked, strict=True):
        found = read_json(ROOT / f"data/published/{run}/data/results/beyond.json")
        assert outcome == found[question]["outcome"], question


def test_the_readmes_answer_about_the_context_is_that_of_the_published_runs():
    runs = "context-128, beyond and context-512"
    row = rf"^\| [^|]* of the context\? \| {runs} \| \*\*([a-z ]+)\*\*"
    (told,) = re.findall(row, PAGES[0].read_text(), re.MULTILINE)
    assert told == load_context_law(StudyPaths(ROOT)).outcome


def test_the_readmes_times_are_those_of_the_published_run():
    folder = ROOT / "data/published/pretrained/data/timings"
    for stage in ("measure", "ablate", "behave"):
        took = read_json(folder / f"{stage}-external@smollm2-135m.json")
        row = f"| {stage} | {took['seconds']:.0f} s | {took['peak_gib']:.1f} GiB |"
        assert row in PAGES[0].read_text()


def test_the_table_of_prompt_forms_is_that_of_the_search():
    forms = read_json(ROOT / "benchmarks" / "prompt_forms.json")["forms"]
    page = (ROOT / "docs" / "behaviours.md").read_text()
    for row in forms:
        low, high = (f"{end:.2f}".replace("-", "−") for end in row["interval"])
        interval = "" if "words return" in row["form"] else f"({low}–{high})"
        assert f"{row['accuracy']:.2f} {interval}" in page, row["form"]


def test_what_a_change_runs_again_is_what_dvc_would_run():
    """Each row names the stages that read its parameters and come after no other that does."""
    stages = {
        name: stage.get("do", stage)
        for name, stage in YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].items()
        if "external" not in name  # as those of our own models
    }

    def first_to_read(parameter: str) -> set[str]:
        reading = {
            name
            for name, stage in stages.items()
            for key in stage.get("params", ())
            if isinstance(key, dict) or f"{parameter}.".startswith(f"{key.split('.$')[0]}.")
        }
        if parameter == "models":  # a stage for each model reads its own entry alone
            reading = {name for name in reading if name == "train"}
        return {name for name in reading if not before(name) & reading}

    def before(name: str) -> set[str]:
        """All stages with an output under a dependency of this one, and those before them."""
        found = {
            other
            for other, stage in stages.items()
            for needed in stages[name].get("deps", ())
            for output in stage.get("outs", ())
            if other != name and f"{output}/".startswith(f"{needed.split('/$')[0]}/")
        }
        return found.union(*map(before, found))

    page = (ROOT / "docs" / "parameters.md").read_text()
    table = page.split("## What a change runs again")[1].split("\n## ")[0]
    rows = re.findall(r"^\| ([^|]*`[^|]*) \| ([^|:]*)", table, re.MULTILINE)
    assert len(rows) > 12
    for parameters, told in rows:
        for parameter in re.findall(r"`([a-z_.]+)`", parameters):
            named = set(re.findall(r"`([a-z]+)`", told))
            assert named == first_to_read(parameter), parameter


def test_the_glossary_has_every_metric():
    told = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    for name, metrics in METRICS["models"].items():
        missing = [key for key in metrics if f"`{key}`" not in told]
        assert not missing, (name, missing)


def test_what_describes_the_project_says_the_same():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = YAML(typ="safe").load(ROOT / "CITATION.cff")
    meta = read_json(ROOT / "codemeta.json")
    assert meta["name"] == project["name"]
    assert meta["description"] == project["description"]
    assert meta["version"] == citation["version"] == project["version"]
    assert meta["license"].rsplit("/", 1)[1] == citation["license"] == project["license"]
    assert meta["author"][0]["name"] == citation["authors"][0]["name"]
    assert (
        meta["runtimePlatform"].removeprefix("Python ").replace(" ", "")
        == (project["requires-python"])
    )
    assert meta["referencePublication"]["url"] == citation["references"][0]["url"]


def test_the_hooks_before_a_commit_are_those_of_make_check():
    hooks = YAML(typ="safe").load(ROOT / ".pre-commit-config.yaml")["repos"][0]["hooks"]
    (recipe,) = re.findall(
        r"^check: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE
    )
    for hook in hooks:
        assert f"\t@{hook['entry'].removeprefix('.venv/bin/')}\n" in recipe


def test_the_pages_head_says_what_the_page_says():
    settings = YAML(typ="safe").load(ROOT / "reports/_quarto.yml")
    (head,) = settings["format"]["html"]["include-in-header"]
    told = dict(re.findall(r'<meta (?:name|property)="([^"]+)" content="([^"]+)">', head["text"]))
    front = (ROOT / "reports/index.qmd").read_text(encoding="utf-8").split("---\n")[1]
    page = YAML(typ="safe").load(front)
    subtitle = page["subtitle"]
    assert told["citation_title"] == f"{page['title']}: {subtitle[0].lower()}{subtitle[1:]}"
    assert told["citation_author"] == page["author"]
    assert told["citation_language"] == settings["lang"]
    assert told["og:title"] == page["title"]
    assert told["og:description"] == f"{subtitle}."
