"""Rendering with Quarto: how it is called and what becomes of its answers, by a stand-in."""

import json
import os
import stat
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from test_render import write_source

from induction.errors import StudyError
from induction.report.render import render

FAKE_QUARTO = """#!{python}
import json, os, pathlib, sys
from ruamel.yaml import YAML
if sys.argv[1:] == ["--version"]:
    print(os.environ.get("FAKE_VERSION", "1.7.34"))
    sys.exit()
call = {{"arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
call["document"] = pathlib.Path("index.qmd").read_text()
call["settings"] = YAML(typ="safe").load(pathlib.Path("_quarto.yml"))
call["files"] = sorted(str(path) for path in pathlib.Path(".").rglob("*") if path.is_file())
pathlib.Path(os.environ["FAKE_CALL"]).write_text(json.dumps(call))
print(os.environ.get("FAKE_MESSAGE", ""), file=sys.stderr)
if os.environ.get("FAKE_STATUS"):
    sys.exit(1)
output = pathlib.Path(call["settings"]["project"]["output-dir"])
output.mkdir()
output.joinpath("index.html").write_text("page" + os.environ.get("FAKE_PAGE", ""))
output.joinpath(os.environ.get("FAKE_PDF", "report.pdf")).write_text("pdf")
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
    assert call["arguments"] == ["render", "."]
    assert not Path(call["folder"]).exists()  # a copy, outside of any hidden folder
    assert not any(part.startswith(".") for part in Path(call["folder"]).parts)
    assert sorted(path.name for path in source.iterdir()) == [
        *("_quarto.yml", "index.qmd", "references.bib", "styles.css")
    ]
    environment = call["environment"]
    assert environment["INDUCTION_RENDERER"] == "Quarto 1.7.34"
    assert environment["SOURCE_DATE_EPOCH"].isdigit()


CELLS = """@fig-a, @tbl-b, @tbl-c, `{python} 1 + 1`; ran `{python} open("runs", "a").write("x")`×.

```{python}
#| label: fig-a
#| fig-cap: "A caption with [a link](#place)
#|   and *more*."
#| fig-alt: "A line."
import matplotlib.pyplot as plt
plt.plot([0, 1]); plt.show()
```

```{python}
#| label: tbl-b
#| tbl-cap: "A table."
#| tbl-colwidths: [20,80]
from IPython.display import Markdown
Markdown("| a | b |\\n|---|---|\\n| 1 | 2 |")
```

```{python}
#| label: tbl-c
#| tbl-cap: "No table."
Markdown("No model has any.")
```

```{python}
#| output: asis
print("```{=html}\\n<script>" + "x" * 60_000 + "</script>\\n```")
```
"""


def test_what_indexes_and_previews_read_reaches_quarto(quarto: Path, tmp_path: Path) -> None:
    render(write_source(tmp_path / "source", "Text."), tmp_path / "out")
    html = json.loads(quarto.read_text())["settings"]["format"]["html"]
    (head,) = html["include-in-header"]
    for name in ("citation_title", "citation_author", "description", "twitter:card"):
        assert f'<meta name="{name}" content="' in head["text"]
    for name in ("og:type", "og:title", "og:description"):
        assert f'<meta property="{name}" content="' in head["text"]


def test_quarto_gets_what_the_cells_gave_and_they_run_once(
    quarto: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row Q6: by itself Quarto runs all cells again for each format. Row Q2: no cell, no label."""
    (tmp_path / "reports").mkdir()
    source = write_source(tmp_path / "reports" / "source", CELLS, title="The {{< var onset >}}")
    (source / "_variables.yml").write_text("onset: 4.1 million\n")
    settings = (source / "_quarto.yml").read_text().replace("styles.css", "../styles.css")
    (source / "_quarto.yml").write_text(settings)
    (source / "styles.css").replace(tmp_path / "reports" / "styles.css")
    monkeypatch.setenv("FAKE_PAGE", '<i class="set-aside-0"></i>')
    monkeypatch.setenv("FAKE_PDF", "index.pdf")  # as some versions name it
    render(source, tmp_path / "out")
    assert (source / "runs").read_text() == "x"
    call = json.loads(quarto.read_text())
    front, text = call["document"].removeprefix("---\n").split("\n---\n", 1)
    assert YAML(typ="safe").load(front) == {"title": "The 4.1 million", "engine": "markdown"}
    assert "{python}" not in text
    assert "@fig-a, @tbl-b, @tbl-c, 2; ran 1×." in text
    caption, place = "A caption with [a link](#place) and *more*.", "figures/fig-a-1.png"
    assert f'![{caption}](<{place}>){{#fig-a fig-alt="A line."}}' in text
    assert "figures/fig-a-1.png" in call["files"]
    assert '| 1 | 2 |\n\n: A table. {#tbl-b tbl-colwidths="[20, 80]"}' in text
    # A caption below a sentence would be a definition to Quarto, and the label unknown.
    assert "::: {#tbl-c}\n\nNo model has any.\n\nNo table.\n\n:::" in text
    assert "xxxx" not in text  # set aside, and put back below
    assert (tmp_path / "out" / "index.html").read_text().count("x") == 60_000
    assert call["settings"]["format"]["html"]["css"] == "styles.css"
    assert "styles.css" in call["files"]
    assert (tmp_path / "out" / "report.pdf").read_text() == "pdf"


def test_a_page_that_lost_its_raw_html_is_refused(quarto: Path, tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", CELLS)
    with pytest.raises(StudyError, match="raw HTML of 60,017 characters was lost on it"):
        render(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_cell_that_raises_is_told_with_its_line(quarto: Path, tmp_path: Path) -> None:
    source = write_source(tmp_path / "source", "```{python}\n1 / 0\n```")
    with pytest.raises(StudyError, match=r"index.qmd:6: ZeroDivisionError: division by zero$"):
        render(source, tmp_path / "out")
    assert not quarto.exists()


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
        # Row Q5: the line that says what is wrong, not the underline below it.
        (
            "1",
            "error: label `<a>` does not exist\n  ┌─ index.typ:1:2\n  │   ^^^^^^^^",
            r"Quarto 1\.7\.34: error: label `<a>` does not exist$",
        ),
        ("1", "ValueError: no data\n  │   ^^^^^^^^", r"Quarto 1\.7\.34: ValueError: no data$"),
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


def test_an_old_quarto_is_passed_over(
    quarto: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_VERSION", "1.6.43")
    assert render(write_source(tmp_path / "source", "Text."), tmp_path / "out").startswith("pandoc")
    assert not quarto.exists()
    monkeypatch.setenv("QUARTO", "quarto")
    with pytest.raises(StudyError, match=r"version 1\.6\.43: 1\.7 or later is needed"):
        render(tmp_path / "source", tmp_path / "out")


def test_a_quarto_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QUARTO", "/nowhere/quarto")
    with pytest.raises(StudyError, match="QUARTO=/nowhere/quarto: no such program"):
        render(write_source(tmp_path / "source", "Text."), tmp_path / "out")
