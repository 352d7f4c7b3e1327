"""Rendering without Quarto: every construct of the report, and the ways it fails."""

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import page_checks
import pdf_checks
import pytest
import typst
from page_checks import Page
from pypdf import PdfReader

from induction.errors import StudyError
from induction.report.render import render
from induction.report.render.source import Cell, Source

TESTS = Path(__file__).parents[1]
REPORTS = TESTS.parent / "reports"


@pytest.fixture(scope="module", autouse=True)
def without_quarto() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QUARTO", "")
        patch.setenv("MPLBACKEND", "agg")  # as on a machine without a screen
        patch.delenv("SOURCE_DATE_EPOCH", raising=False)
        yield


def with_settings(folder: Path) -> Path:
    """A folder with the settings and styles of the real report put into it."""
    for name in ("_quarto.yml", "styles.css", "references.bib"):
        shutil.copy(REPORTS / name, folder)
    return folder


def copy_source(folder: Path) -> Path:
    return with_settings(Path(shutil.copytree(TESTS / "helpers" / "report_source", folder)))


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
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
    (folder / "index.qmd").write_text(f'---\ntitle: "{title}"\n---\n\n{body}\n', encoding="utf-8")
    return with_settings(folder)


def cell(code: str) -> str:
    return f"```{{python}}\n{code}\n```"


def page_of(folder: Path, body: str, **options: Any) -> str:
    """Render a document of this text into the folder."""
    render(write_source(folder / "source", body), folder, **options)
    return (folder / "index.html").read_text(encoding="utf-8")


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
    assert target.removeprefix("#") in {identifier for _, identifier in page.having("id")}


def test_the_page_is_whole(rendered: Path, page: Page) -> None:
    page_checks.check_page(rendered / "index.html")
    assert len(page.named("img")) == 5
    assert "#ref-olsson2022" in {href for href, _ in page.links}


def test_the_pdf_is_whole(rendered: Path) -> None:
    pdf_checks.check_pdf(rendered / "report.pdf")


def test_the_page_is_fit_to_be_seen(rendered: Path) -> None:
    page_checks.check_in_browser(rendered / "index.html")


def test_images_have_alternative_text(page: Page) -> None:
    words = [attributes["alt"] for _, attributes in page.named("img")]
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
        '<div class="notice">',
        '<a class="skip-link" href="#content">',
        '<div class="summary">',
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
    assert expected in page.source


@pytest.mark.parametrize(
    "absent", ["Only in the PDF", "never shown", "svg.hashsalt", "fig-nothing", ":::", "{{&lt;"]
)
def test_what_the_page_does_not_show(page: Page, absent: str) -> None:
    assert absent not in page.source


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
        "Limits. A small model on code",
        "Inline: 0.33, literal a*b*c",
        "Olsson, Catherine",
        "In short:",
        "Every construct of the report 1 of ",  # the footer
    ):
        assert expected in text
    assert "interactive part" not in text


def test_figures_move_and_captions_stay_with_them(rendered: Path) -> None:
    """On the first page the figure goes to the bottom; a long table has its header on each page."""
    pages = [page.extract_text() for page in PdfReader(rendered / "report.pdf").pages]
    first = " ".join(pages[0].split())
    assert first.startswith("Every construct of the report")
    assert first.index("Only in the PDF") < first.index("Figure 1: ICL score")
    rows = [text for text in pages if re.search(r"^\d+ \d\.\d\d$", text, re.MULTILINE)]
    assert len(rows) > 1
    assert all("step loss" in " ".join(text.split()) for text in rows)


def test_a_failing_writer_of_tags_costs_repeated_headers_and_no_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, seen = typst.compile, []

    def failing(text: str, **options: Any) -> None:
        seen.append(Path(text).read_text(encoding="utf-8").count("table.header(repeat: false, "))
        if not seen[-1]:
            raise RuntimeError(
                "internal error: parent group (occurred at build.rs:202:14)\nreport it"
            )
        whole(text, **options)

    monkeypatch.setattr(typst, "compile", failing)
    table = "| a | b |\n|---|---|\n| 1 | 2 |\n\n: A table. {#tbl-a}\n\nSee @tbl-a."
    render(write_source(tmp_path / "source", table), tmp_path / "out")
    assert seen == [0, 1]
    assert (tmp_path / "out" / "report.pdf").read_bytes().startswith(b"%PDF")

    def always(text: str, **options: Any) -> None:
        raise RuntimeError("internal error: worse")

    monkeypatch.setattr(typst, "compile", always)
    with pytest.raises(StudyError, match=r"index\.qmd: typst: internal error: worse"):
        render(tmp_path / "source", tmp_path / "out")


def test_the_same_source_gives_the_same_bytes(
    rendered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another folder, with another hash seed, and with its own date given from outside."""
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "12345")  # the given date comes first
    source = copy_source(tmp_path / "elsewhere")
    document = (source / "index.qmd").read_text()
    (source / "index.qmd").write_text(document.replace('"2026-01-01"', '"1999-12-31"'))
    out = tmp_path / "out"
    out.mkdir()
    (out / "index.html").write_text("another report's page")
    render(source, out, page="a.html", pdf="a.pdf", date="2026-01-01")
    assert sorted(path.name for path in out.iterdir()) == ["a.html", "a.pdf", "index.html"]
    assert (out / "index.html").read_text() == "another report's page"
    assert (out / "a.html").read_bytes() == (rendered / "index.html").read_bytes()
    assert (out / "a.pdf").read_bytes() == (rendered / "report.pdf").read_bytes()


def test_the_head_has_what_indexes_and_previews_read(tmp_path: Path) -> None:
    head, _, body = page_of(tmp_path, "Text.").partition("</head>")
    for name in ("citation_title", "citation_author", "description", "twitter:card"):
        assert f'<meta name="{name}" content="' in head
    assert '<meta property="og:title" content="' in head
    assert "citation_title" not in body
    settings = tmp_path / "source" / "_quarto.yml"
    text = settings.read_text()
    first = text.index("include-in-header")  # the page's
    settings.write_text(text[:first] + text[first:].replace("- text: |", "- file: |", 1))
    with pytest.raises(StudyError, match="include-in-header: give text") as error:
        render(settings.parent, tmp_path / "out")
    assert "\n" not in str(error.value)


def test_date_and_variables_reach_the_cells(tmp_path: Path) -> None:
    told = cell("import os\nprint(os.environ['SOURCE_DATE_EPOCH'], os.environ['TELL'])")
    page = page_of(tmp_path, told, date="2026-11-23", environment={"TELL": "the cells"})
    assert '<p class="date">November 23, 2026</p>' in page
    assert "1795392000 the cells" in page  # midnight of that day, UTC


@pytest.mark.parametrize("date", ["today", "", "2026-13-01"])
def test_a_date_that_is_none_is_refused(tmp_path: Path, date: str) -> None:
    source = write_source(tmp_path / "source", "Text.")
    with pytest.raises(StudyError, match=f"date '{date}': write it as year-month-day"):
        render(source, tmp_path / "out", date=date)


def test_a_table_printed_in_pieces_is_one_table(tmp_path: Path) -> None:
    """The kernel sends printed text whenever it likes, in half lines too; figures stay."""
    code = """#| output: asis
print("| step |", "loss |\\n|---:|", end="", flush=True)
print("---:|\\n| 1 |", end="", flush=True)
print(" 2.50 |\\n\\nBefore.", flush=True)
display(Markdown("Between."))
print("After.")"""
    start = cell("from IPython.display import Markdown, display\nNone")
    page = page_of(tmp_path, start + "\n\n" + cell(code))
    assert re.search(r"<td[^>]*>1</td>\s*<td[^>]*>2\.50</td>", page)
    assert page.index("Before.") < page.index("Between.") < page.index("After.")


SCRIPT = r"""<script type="application/json">
{"a": "<\/script> &amp; < > \" ' ``` ::: {{< var x >}} $$ <\!-- <img src='gone.png'> @fig-gone",
	"b": "a tab, two spaces at the end"  ,

"c": "\u2028 é ⏎ @import url(gone.css)"}
</script>"""
MEGABYTES = "QUJD" * 750_000


def test_scripts_pass_through_unharmed(tmp_path: Path) -> None:
    """Bundled libraries and data: three megabytes in one line, and all that could be mistaken."""
    (tmp_path / "script.html").write_text(SCRIPT, encoding="utf-8")
    code = f"""#| output: asis
from pathlib import Path
print("````{{=html}}")
print(Path({str(tmp_path / "script.html")!r}).read_text(encoding="utf-8"))
print("<script>var data = '" + {MEGABYTES[:4]!r} * {len(MEGABYTES) // 4} + "';</script>")
print("````")"""
    page = page_of(tmp_path, cell(code))
    assert SCRIPT in page
    assert f"<script>var data = '{MEGABYTES}';</script>" in page


DRAWING = """from IPython.display import SVG
svg = '<svg xmlns="http://www.w3.org/2000/svg"><clipPath id="c"><path d="M0 0h9v9z"/></clipPath>'
SVG(svg + '<g clip-path="url(#c)"><path d="M0 0h9v9z"/></g></svg>')"""


def test_drawings_with_the_same_identifiers_stay_apart(tmp_path: Path) -> None:
    cells = [cell(f"#| label: fig-{n}\n#| fig-cap: A\n#| fig-alt: B\n{DRAWING}") for n in "ab"]
    page = page_of(tmp_path, "## One\n\n" + "\n\n".join(cells))
    assert page.count('src="data:image/svg+xml') == 2
    page_checks.check_page(tmp_path / "index.html")


FAILURES = {
    "reference": ("First.\n\nSee @fig-nope.", r":7: unknown reference @fig-nope"),
    "citation": ("As [@nobody2020] says.", r":5: citation @nobody2020 is not in the bibliography"),
    "image": ("![A](gone.png){#fig-a}", r":5: the image gone.png is missing"),
    "network": (
        "![A](https://a.b/c.png)",
        r":5: the image https://a.b/c.png is on the network",
    ),
    "variable": ("It is {{< var gone.away >}}.", r":5: unknown variable gone.away"),
    "shortcode": ("{{< video a.mp4 >}}", r":5: shortcode 'video' is not supported"),
    "label twice": (
        "![A](b.svg){#fig-a}\n\n![B](b.svg){#fig-a}",
        r":5: the label fig-a is used twice",
    ),
    "inner link": ("[here](#nowhere)", r":5: the link to #nowhere leads nowhere"),
    # What Quarto loses without a word, or only where there is a network (rows Q1 to Q4 of what one
    # render by it showed).
    "link to a heading without a number": (
        "## Data {#data .unnumbered}\n\n[here](#data)",
        r":5: the link to #data leads to a heading without a number, whose identifier Quarto's PDF",
    ),
    "element named like a cell": (
        cell("#| label: view\n#| output: asis\nprint('```{{=html}}\\n<b id=\"view\">x</b>\\n```')"),
        r":6: #view is also the label of a cell",
    ),
    "block named like a cell": (
        "::: {#view}\nA\n:::\n\n" + cell("#| label: view\n1"),
        r":5: #view is also the label of a cell",
    ),
    "identifier of another kind": (
        "::: {#def-onset}\nA\n:::",
        r":5: an identifier that begins with def- makes Quarto take the block for another kind",
    ),
    "label of two cells": (
        f"{cell('#| label: a')}\n\n{cell('#| label: a')}",
        r":9: the label a is used twice",
    ),
    "letter behind inline code": (
        "It is `{python} 1`x.",
        r":5: a letter follows this inline code, which Quarto then does not run",
    ),
    "inline code with a character that Python escapes": (
        "It is `{python} '50\\u00a0%'`.",
        r":5: this inline code gives '50.xa0%', with escapes that Quarto would show: use Markdown",
    ),
    "inline code that gives nothing": (
        "It is `{python} ''`.",
        r":5: this inline code gives nothing: Quarto would show the code itself",
    ),
    "callout": ("::: {.callout-note}\nA\n:::", r":5: a callout: for its icon Quarto's PDF loads a"),
    "wide column": ("::: {.column-page}\nA\n:::", r":5: column-page is not supported: a figure is"),
    "stray label": ("A sum {#eq-sum}.", r":5: the label eq-sum does not follow"),
    "format": (
        '::: {.content-visible when-format="docx"}\nA\n:::',
        r":5: conditional content needs",
    ),
    "hidden": (
        'A\n\n::: {.content-hidden when-format="html"}\nB\n:::',
        r":7: content-hidden is not supported: write .content-visible with when-format",
    ),
    "unless": (
        'A [B]{.content-visible unless-format="html"}.',
        r":5: conditional content needs when-format, \"html\" or \"typst\", and nothing else",
    ),
    "option": (cell("#| fig-kap: A\n1"), r":5: unknown cell option 'fig-kap'"),
    "option syntax": (cell("#| label: a: b\n1"), r":6: mapping values are not allowed"),
    "open cell": ("```{python}\n1", r":5: this cell is never closed"),
    "other language": ("```{r}\n1\n```", r":5: \{r\}: only \{python\}"),
    "nested": ("````md\n```{python}\n```\n````", r":5: a \{python\} fence inside another"),
    "caption": (cell("#| label: fig-a\n1"), r":5: cell fig-a has no fig-cap"),
    "nothing to see": (
        cell("#| label: fig-a\n#| fig-cap: A\n#| output: asis\nprint('<!-- -->')"),
        r":6: fig-a shows nothing in the PDF",
    ),
    "raises": (cell("#| label: bad\nx = 1\n\nx / 0"), r":9: cell bad: ZeroDivisionError: d"),
    "raises in line": ("One.\n\nIt is `{python} [][1]`.", r":7: IndexError: list index out of ra"),
    "ends kernel": (cell("import os\nos._exit(1)"), r":6: the kernel ended while this cell"),
    "shows text": (
        cell("#| label: fig-a\n#| fig-cap: A\n1"),
        r":8: cell fig-a ends in a text value",
    ),
}


@pytest.mark.parametrize("case", FAILURES)
def test_failures_say_where_and_leave_the_output(tmp_path: Path, case: str) -> None:
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


def test_a_full_disk_leaves_both_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_source(tmp_path / "source", "Text.")
    output = tmp_path / "out"
    output.mkdir()
    names = ("index.html", "report.pdf")
    for name in names:
        (output / name).write_text("earlier")

    def copy(origin: Path, target: Path) -> None:
        target.write_text("half")
        if origin.name == "report.pdf":
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", copy)
    with pytest.raises(OSError, match="No space left"):
        render(source, output)
    assert {path.name: path.read_text() for path in output.iterdir()} == dict.fromkeys(
        names, "earlier"
    )


@pytest.mark.parametrize("folder", [REPORTS, REPORTS / "compare"])
def test_the_real_sources_are_as_quarto_runs_them(folder: Path) -> None:
    """What the fallback refuses while it renders is tried by the tests that render them."""
    labels = [piece.label for piece in Source(folder).pieces if isinstance(piece, Cell)]
    named = [label for label in labels if label]
    assert len(named) > 10
    assert len(set(named)) == len(named)
    parts = (REPORTS.parent / "src/induction/report/interactive").glob("*.html")
    identifiers = {i for part in parts for i in re.findall(r'id="([^"]+)"', part.read_text())}
    assert "explorer" in identifiers
    assert not identifiers & set(named)


def test_cells_run_beside_the_source_and_leave_no_process(tmp_path: Path) -> None:
    code = "import os, pathlib\npathlib.Path('pid').write_text(str(os.getpid()))\nraise ValueError"
    source = write_source(tmp_path / "source", cell(code))
    with pytest.raises(StudyError, match=r":8: ValueError$"):
        render(source, tmp_path / "out")
    with pytest.raises(ProcessLookupError):
        os.kill(int((source / "pid").read_text()), 0)


def test_a_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match=r"index\.qmd: missing"):
        render(tmp_path, tmp_path / "out")


def test_long_names_in_narrow_columns_are_divided(tmp_path: Path) -> None:
    name = "`attention_pattern_of_the_last_layer`"
    table = f"| a | b |\n|---|---|\n| {name} | {'word ' * 40}|"
    caption = ": Narrow. {#tbl-a tbl-colwidths='[12,88]'}"
    page_of(tmp_path, f"{table}\n\n{caption}")
    pdf_checks.check_words(tmp_path / "report.pdf")
    text = PdfReader(tmp_path / "report.pdf").pages[0].extract_text()
    assert name.strip("`") in "".join(text.split())  # nothing in between, seen or unseen
