"""Rendering with Quarto: how it is called and what becomes of its answers, by a stand-in."""

import json
import os
import stat
import sys
from pathlib import Path

import pytest
from test_render import write_source

from induction.errors import StudyError
from induction.report.render import render

FAKE_QUARTO = """#!{python}
import json, os, pathlib, sys
if sys.argv[1:] == ["--version"]:
    print(os.environ.get("FAKE_VERSION", "1.7.34"))
    sys.exit()
pathlib.Path("index.typ").write_text("an intermediate file")
call = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
pathlib.Path(os.environ["FAKE_CALL"]).write_text(json.dumps(call))
print(os.environ.get("FAKE_MESSAGE", ""), file=sys.stderr)
if os.environ.get("FAKE_STATUS"):
    sys.exit(1)
output = pathlib.Path(sys.argv[sys.argv.index("--output-dir") + 1])
output.joinpath("index.html").write_text("page")
output.joinpath("report.pdf").write_text("pdf")
pathlib.Path("index.typ").unlink()
"""


@pytest.fixture
def quarto(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in `quarto` on PATH; returns the file where it notes how it was called."""
    program = tmp_path / "bin" / "quarto"
    program.parent.mkdir()
    program.write_text(FAKE_QUARTO.format(python=sys.executable))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("QUARTO", raising=False)
    monkeypatch.setenv("FAKE_CALL", str(tmp_path / "call.json"))
    return tmp_path / "call.json"


def test_quarto_renders_where_there_is_one(quarto: Path, tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", "Text.")
    assert render(source, tmp_path / "out") == "Quarto 1.7.34"
    assert (tmp_path / "out" / "index.html").read_text() == "page"
    assert (tmp_path / "out" / "report.pdf").read_text() == "pdf"
    call = json.loads(quarto.read_text())
    assert call["folder"] == str(source)
    assert call["arguments"][:2] == ["render", "."]
    assert not any("date" in argument for argument in call["arguments"])
    scratch = call["arguments"][call["arguments"].index("--output-dir") + 1]
    assert scratch.startswith(".quarto/")
    assert not (source / scratch).exists()
    environment = call["environment"]
    assert environment["QUARTO_PYTHON"] == sys.executable
    assert environment["INDUCTION_RENDERER"] == "Quarto 1.7.34"
    assert environment["SOURCE_DATE_EPOCH"].isdigit()


def test_quarto_gets_date_names_and_variables(quarto: Path, tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", "Text.")
    (tmp_path / "index.html").write_text("another report's page")
    names = {"page": "a.html", "pdf": "a.pdf"}
    render(source, tmp_path, **names, date="2026-11-23", environment={"TELL": "the cells"})
    assert (tmp_path / "a.html").read_text() == "page"
    assert (tmp_path / "a.pdf").read_text() == "pdf"
    assert (tmp_path / "index.html").read_text() == "another report's page"
    call = json.loads(quarto.read_text())
    place = call["arguments"].index("--metadata")
    assert call["arguments"][place + 1] == "date:2026-11-23"
    assert call["environment"]["SOURCE_DATE_EPOCH"] == "1795392000"
    assert call["environment"]["TELL"] == "the cells"


@pytest.mark.parametrize(
    ("status", "output", "message"),
    [
        ("1", "Traceback\nValueError: no data\n", r"Quarto 1\.7\.34: ValueError: no data$"),
        ("1", "ERROR: Bad things\n\nStack trace:\n  at x", r"Quarto 1\.7\.34: Bad things$"),
        ("", "[WARNING] Unable to resolve crossref @fig-nope", r":5: unknown reference @fig-nope"),
        ("", "[WARNING] Citeproc: citation nobody not found", "citation @nobody is not in the"),
    ],
)
def test_a_failing_quarto_leaves_the_output(
    quarto: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    output: str,
    message: str,
) -> None:
    monkeypatch.setenv("FAKE_STATUS", status)
    monkeypatch.setenv("FAKE_MESSAGE", output)
    source = write_source(tmp_path / "source", "See @fig-nope.")
    with pytest.raises(StudyError, match=message) as error:
        render(source, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
    assert not (source / "index.typ").exists()


def test_an_old_quarto_is_passed_over(
    quarto: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VERSION", "1.3.450")
    assert render(write_source(tmp_path / "source", "Text."), tmp_path / "out").startswith("pandoc")
    assert not quarto.exists()
    monkeypatch.setenv("QUARTO", "quarto")
    with pytest.raises(StudyError, match=r"version 1\.3\.450: 1\.4 or later is needed"):
        render(tmp_path / "source", tmp_path / "out")


def test_a_quarto_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUARTO", "/nowhere/quarto")
    with pytest.raises(StudyError, match="QUARTO=/nowhere/quarto: no such program"):
        render(write_source(tmp_path / "source", "Text."), tmp_path / "out")
