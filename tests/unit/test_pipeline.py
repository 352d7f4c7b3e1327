"""The graph of dvc.yaml: each stage depends on the code that it runs and on what it reads."""

import ast
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"
PIPELINE = YAML(typ="safe").load(ROOT / "dvc.yaml")
STAGES = sorted(PIPELINE["stages"])

# They carry results and messages but make no number; dvc.yaml says why stages leave them out.
CARRIERS = {
    *(
        "__init__",
        "config.__init__",
        "environment",
        "errors",
        *(f"files.{part}" for part in ("__init__", "folders", "locks", "tables", "whole")),
        "fingerprint",
        "paths",
    ),
    *("progress", "resume", "stages.__init__", "stages.over_snapshots"),
}


def python_of(path: Path) -> str:
    """The code of a module, or of the cells of the report."""
    text = path.read_text()
    if path.suffix == ".qmd":
        cells = re.findall(r"^```\{python\}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        text = "\n".join(re.sub(r"^%.*", "", cell, flags=re.MULTILINE) for cell in cells)
    return text


def imported_modules(path: Path) -> set[Path]:
    """Modules of this package that a file imports, with their packages' __init__ files."""
    found = set()
    for node in ast.walk(ast.parse(python_of(path))):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            if not name.startswith("induction"):
                continue
            base = SRC.joinpath(*name.split("."))
            if base.with_suffix(".py").is_file():
                found.add(base.with_suffix(".py"))
            if (base / "__init__.py").is_file():
                found.add(base / "__init__.py")
            found.update(
                parent / "__init__.py"
                for parent in base.parents
                if (parent / "__init__.py").is_file()
            )
    return found


def module_of(stage: str) -> str:
    return stage.replace("-", "_")


def code_of(stage: str) -> set[Path]:
    """All modules that a stage runs, less the carriers and empty ones."""
    waiting, seen = [SRC / "induction" / "stages" / f"{module_of(stage)}.py"], set()
    if stage == "report":
        waiting.extend(imported_modules(ROOT / "reports" / "index.qmd"))
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        module = ".".join(path.relative_to(SRC / "induction").with_suffix("").parts)
        if module not in CARRIERS:
            waiting.extend(imported_modules(path))
    names = {p: ".".join(p.relative_to(SRC / "induction").with_suffix("").parts) for p in seen}
    return {p for p in seen if names[p] not in CARRIERS and _has_code(p)}


def _has_code(path: Path) -> bool:
    body = ast.parse(path.read_text()).body
    return any(not isinstance(node, ast.Expr) for node in body)


def declared(stage: str) -> list[str]:
    entry = PIPELINE["stages"][stage]
    return [str(dep) for dep in entry.get("do", entry)["deps"]]


@pytest.mark.parametrize("stage", STAGES)
def test_every_module_that_a_stage_runs_is_among_its_dependencies(stage):
    deps = [ROOT / dep for dep in declared(stage)]
    missing = {
        str(path.relative_to(ROOT))
        for path in code_of(stage)
        if not any(path == dep or dep in path.parents for dep in deps)
    }
    assert not missing


@pytest.mark.parametrize("stage", STAGES)
def test_no_stage_depends_on_code_that_it_does_not_run(stage):
    code = code_of(stage)
    unused = {
        dep
        for dep in declared(stage)
        if dep.startswith("src/")
        and not any(path == ROOT / dep or ROOT / dep in path.parents for path in code)
    }
    assert not unused


def test_every_stage_has_a_module_and_every_module_a_stage():
    modules = {path.stem for path in (SRC / "induction" / "stages").glob("*.py")}
    assert modules - {"__init__", "over_snapshots"} == set(map(module_of, STAGES))


def test_stages_without_a_model_do_not_depend_on_the_table_of_models():
    """Else a change to one model's entry would run them again, and all training after them."""
    for stage in ("fetch", "prepare"):
        assert not any(str(p).startswith("models") for p in PIPELINE["stages"][stage]["params"])
    of_models = ("train", "measure", "ablate", "behave", "steer")
    of_external = ("measure-external", "ablate-external", "behave-external", "steer-external")
    for stage in (*of_models, "revisions", *of_external):
        assert not {"models", "external"} & set(PIPELINE["stages"][stage]["do"]["params"])


def test_the_report_depends_on_its_sentences():
    assert {"reports/index.qmd", "reports/text"} <= set(declared("report"))
