"""Rendering: every construct of the report, the ways it fails, and the two renderers."""

import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest

from induction.errors import StudyError
from induction.report.render import render

HERE = Path(__file__).parent
REPORTS = HERE.parent / "reports"


@dataclass
class Page(HTMLParser):
    """What the tests ask of a page: identifiers, links, resources, images and text."""

    html: str
    ids: list[str] = field(default_factory=list)
    links: list[tuple[str, str]] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    images: list[dict[str, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()
        self._open_link: str | None = None
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if identifier := attributes.get("id"):
            self.ids.append(identifier)
        if tag == "a":
            self._open_link = attributes.get("href")
        else:
            self.resources += [
                attributes[name] or "" for name in ("src", "href", "srcset") if name in attributes
            ]
        if tag == "img":
            self.images.append(attributes)

    def handle_data(self, data: str) -> None:
        if self._open_link:
            self.links.append((self._open_link, data.replace("\xa0", " ")))

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._open_link = None


@pytest.fixture(scope="module")
def without_quarto() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUARTO", "")
        patch.setenv("MPLBACKEND", "agg")  # as on a machine without a screen
        patch.delenv("SOURCE_DATE_EPOCH", raising=False)
        yield


def copy_source(folder: Path) -> Path:
    """The test's document under the settings and styles of the real report."""
    shutil.copytree(HERE / "report_source", folder)
    for name in ("_quarto.yml", "styles.css", "references.bib"):
        shutil.copy(REPORTS / name, folder)
    return folder


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory, without_quarto: None) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    name = render(copy_source(folder / "source"), folder / "out")
    assert re.fullmatch(r"pandoc \d[\d.]+ and typst \d[\d.]+", name)
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["index.html", "report.pdf"]
    return folder / "out"


@pytest.fixture(scope="module")
def page(rendered: Path) -> Page:
    text = (rendered / "index.html").read_text(encoding="utf-8")
    return Page(" ".join(text.split()))


def write_source(folder: Path, body: str, title: str = "T") -> Path:
    folder.mkdir(exist_ok=True)
    for name in ("_quarto.yml", "styles.css", "references.bib"):
        shutil.copy(REPORTS / name, folder)
    (folder / "index.qmd").write_text(f'---\ntitle: "{title}"\n---\n\n{body}\n', encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ("#fig-icl", "Figure 1"),
        ("#fig-panels", "Figure 2"),
        ("#fig-panels", "2"),
        ("#fig-left", "Figure 2 (a)"),
        ("#fig-second", "Figure 3 (b)"),
        ("#tbl-zoo", "Table 1"),
        ("#tbl-typed", "Table 2"),
        ("#eq-icl", "Equation 1"),
        ("#eq-icl", "Eq. 1"),
        ("#sec-methods", "Section 2"),
        ("#sec-details", "Section 1.1"),
    ],
)
def test_references_show_the_number_and_lead_to_the_place(
    page: Page, target: str, text: str
) -> None:
    assert (target, text) in page.links
    assert target.removeprefix("#") in page.ids


def test_every_inner_link_has_one_target(page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    inner = {href for href, _ in page.links if href.startswith("#")}
    assert {href.removeprefix("#") for href in inner} <= set(page.ids)
    assert "#ref-olsson2022" in inner


def test_the_page_is_one_file(page: Page) -> None:
    assert all(source.startswith("data:") for source in page.resources), page.resources
    assert len(page.images) == 5
    assert "@import" not in page.html
    assert not re.search(r"url\((?!['\"]?data:)", page.html)


def test_images_have_alternative_text(page: Page) -> None:
    words = [image["alt"] for image in page.images]
    falling = 'Line chart: the ICL score falls "abruptly" between three and six million tokens.'
    assert words[:3] == [falling, "Three bars, the last one orange.", "Right"]


@pytest.mark.parametrize(
    "expected",
    [
        "at 4.1 million tokens",
        "The change came at 4.1 million tokens",  # in the abstract
        "<strong>Figure 1:</strong> ICL score over training, after",
        "<strong>Table 1:</strong> Models of the study",
        "interactive part is alive",
        "Inline: 0.33, literal a*b*c, Markdown <strong>bold</strong>",
        "rendered by pandoc",
        'class="callout callout-note"',
        '<details class="callout callout-warning">',
        "<summary>Code</summary>",
        "total: 45",
        "<code>`{python} 1 + 1`</code>",
        "January 1, 2026",
        'role="doc-toc"',
        '<col style="width: 60%"',
        'style="--columns: 2"',
        "A Mathematical Framework for Transformer Circuits",
    ],
)
def test_constructs_on_the_page(page: Page, expected: str) -> None:
    assert expected in page.html


@pytest.mark.parametrize(
    "absent", ["Only in the PDF", "never shown", "svg.hashsalt", "fig-nothing", ":::", "{{&lt;"]
)
def test_what_the_page_does_not_show(page: Page, absent: str) -> None:
    assert absent not in page.html


def test_the_pdf_has_the_same_numbers(rendered: Path) -> None:
    pdf = rendered / "report.pdf"
    assert pdf.read_bytes().startswith(b"%PDF-")
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext reads the PDF")
    run = subprocess.run(["pdftotext", str(pdf), "-"], capture_output=True, text=True, check=True)
    text = " ".join(run.stdout.replace("\xa0", " ").split())
    for expected in (
        "Figure 1: ICL score over training",
        "Figure 3 (b)",
        "Table 1: Models of the study",
        "Table 3: A table longer",
        "(1)",
        "Section 1.1",
        "Only in the PDF",
        "Opened in the PDF",
        "Inline: 0.33, literal a*b*c",
        "Olsson, Catherine",
    ):
        assert expected in text
    assert "interactive part" not in text


def test_the_same_source_gives_the_same_bytes(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    render(copy_source(tmp_path / "elsewhere"), tmp_path / "out")
    for name in ("index.html", "report.pdf"):
        assert (tmp_path / "out" / name).read_bytes() == (rendered / name).read_bytes()


CELL = "```{{python}}\n{}\n```"

FAILURES = {
    "reference": ("First.\n\nSee @fig-nope.", r":7: unknown reference @fig-nope"),
    "citation": ("As [@nobody2020] says.", r":5: citation @nobody2020 is not in the bibliography"),
    "image": ("![A](gone.png){#fig-a}", r":5: the image gone.png is missing"),
    "network": (
        "![A](https://a.org/b.png)",
        r":5: the image https://a.org/b.png is on the network",
    ),
    "variable": ("It is {{< var gone.away >}}.", r":5: unknown variable gone.away"),
    "shortcode": ("{{< video a.mp4 >}}", r":5: shortcode 'video' is not supported"),
    "label twice": (
        "![A](b.svg){#fig-a}\n\n![B](b.svg){#fig-a}",
        r":5: the label fig-a is used twice",
    ),
    "inner link": ("[here](#nowhere)", r":5: the link to #nowhere leads nowhere"),
    "stray label": ("A sum {#eq-sum}.", r":5: the label eq-sum does not follow"),
    "format": (
        '::: {.content-visible when-format="docx"}\nA\n:::',
        r":5: conditional content needs",
    ),
    "option": (CELL.format("#| fig-kap: A\n1"), r":5: unknown cell option 'fig-kap'"),
    "option syntax": (CELL.format("#| label: a: b\n1"), r":6: mapping values are not allowed"),
    "open cell": ("```{python}\n1", r":5: this cell is never closed"),
    "other language": ("```{r}\n1\n```", r":5: \{r\}: only \{python\}"),
    "nested": ("````md\n```{python}\n```\n````", r":5: a \{python\} fence inside another"),
    "caption": (CELL.format("#| label: fig-a\n1"), r":5: cell fig-a has no fig-cap"),
    "nothing to see": (
        CELL.format("#| label: fig-a\n#| fig-cap: A\n#| output: asis\nprint('<!-- -->')"),
        r":6: fig-a shows nothing in the PDF",
    ),
    "raises": (CELL.format("#| label: bad\nx = 1\n\nx / 0"), r":9: cell bad: ZeroDivisionError: d"),
    "raises in line": ("One.\n\nIt is `{python} [][1]`.", r":7: IndexError: list index out of ra"),
    "ends kernel": (CELL.format("import os\nos._exit(1)"), r":6: the kernel ended while this cell"),
    "shows text": (
        CELL.format("#| label: fig-a\n#| fig-cap: A\n1"),
        r":8: cell fig-a ends in a text value",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures_say_where_and_leave_the_output(
    tmp_path: Path, case: str, without_quarto: None
) -> None:
    body, message = FAILURES[case]
    source = write_source(tmp_path / "source", body)
    (source / "b.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    output = tmp_path / "out"
    output.mkdir()
    (output / "index.html").write_text("earlier")
    with pytest.raises(StudyError, match=r"index\.qmd" + message) as error:
        render(source, output)
    assert "\n" not in str(error.value)
    assert [path.name for path in output.iterdir()] == ["index.html"]
    assert (output / "index.html").read_text() == "earlier"


def test_cells_run_beside_the_source_and_leave_no_process(
    tmp_path: Path, without_quarto: None
) -> None:
    code = "import os, pathlib\npathlib.Path('pid').write_text(str(os.getpid()))\nraise ValueError"
    source = write_source(tmp_path / "source", CELL.format(code))
    with pytest.raises(StudyError, match=r":8: ValueError$"):
        render(source, tmp_path / "out")
    with pytest.raises(ProcessLookupError):
        os.kill(int((source / "pid").read_text()), 0)


def test_a_missing_source_is_named(tmp_path: Path, without_quarto: None) -> None:
    with pytest.raises(StudyError, match=r"index\.qmd: missing"):
        render(tmp_path, tmp_path / "out")


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
    scratch = call["arguments"][call["arguments"].index("--output-dir") + 1]
    assert scratch.startswith(".quarto/")
    assert not (source / scratch).exists()
    environment = call["environment"]
    assert environment["QUARTO_PYTHON"] == sys.executable
    assert environment["INDUCTION_RENDERER"] == "Quarto 1.7.34"
    assert environment["SOURCE_DATE_EPOCH"].isdigit()


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
