"""The checks of finished pages and PDFs: each passes what is whole, and finds what is broken."""

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import page_checks
import pdf_checks
import pytest
import typst
from page_checks import Page, Report
from pypdf import PdfReader, PdfWriter
from pypdf.generic import DictionaryObject, NameObject, TextStringObject

DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    '<defs><path id="a" d="M0 0h9v9z"/></defs><use xlink:href="#a"/></svg>'
)


def uri(drawing: str) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(drawing.encode()).decode()


WHOLE = f"""<!DOCTYPE html>
<html lang="en"><head><title>A page</title><style>p {{ color: #123; }}</style></head><body>
<main><h1>Title</h1><h2 id="sec-a">One</h2><p>See <a href="#fig-a">Figure 1</a>, a
<a href="https://example.org">link</a> and code: <code>{{python}} nan ?? @fig-x</code>.</p>
<figure id="fig-a"><img alt="A square." src="{uri(DRAWING)}"></figure>
<h3>Below</h3><table><thead><tr><th>h</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>
<h2>Two</h2><div aria-labelledby="sec-a">Text.</div><script>let nan = "??";</script>
</main></body></html>
"""

BROKEN = {
    "no language": (page_checks.check_identity, ' lang="en"', "", "no language"),
    "no title": (page_checks.check_identity, "A page", " ", "no title"),
    "no main part": (page_checks.check_identity, "<main>", "<div>", "one <main>"),
    "id twice": (page_checks.check_links, 'id="sec-a"', 'id="fig-a"', "more than once"),
    "broken link": (page_checks.check_links, 'id="fig-a"', 'id="fig-b"', "lead nowhere.*fig-a"),
    "broken label": (page_checks.check_links, '"sec-a">Text', '"sec-x">Text', "nowhere.*sec-x"),
    "clip path of another": (
        page_checks.check_links,
        "<p>See",
        '<p style="clip-path: url(#clip1)">See',
        "nowhere.*clip1",
    ),
    "image of the network": (
        page_checks.check_offline,
        "data:image/svg+xml;base64,",
        "https://example.org/",
        "loaded from outside.*<img>",
    ),
    "script of the network": (
        page_checks.check_offline,
        "<script>",
        '<script src="//cdn.example.org/a.js">',
        "outside.*<script>",
    ),
    "style of a file": (
        page_checks.check_offline,
        "<style>",
        '<link rel="stylesheet" href="a.css"><style>',
        "outside.*a.css",
    ),
    "font of the network": (
        page_checks.check_offline,
        "p {",
        "@font-face { src: url(https://a.org/f.woff) } p {",
        "style loads",
    ),
    "no words": (page_checks.check_images, 'alt="A square."', "", "without alternative text"),
    "no words for a drawing": (
        page_checks.check_images,
        "<h2>Two",
        "<svg></svg><h2>Two",
        "<svg> without",
    ),
    "broken base64": (page_checks.check_images, ";base64,", ";base64,?", "does not decode"),
    "broken drawing": (
        page_checks.check_images,
        uri(DRAWING),
        uri(DRAWING[:-3]),
        "does not decode",
    ),
    "drawing with the same id twice": (
        page_checks.check_images,
        uri(DRAWING),
        uri(DRAWING.replace("</defs>", '<g id="a"/></defs>')),
        "not unique",
    ),
    "drawing without its part": (
        page_checks.check_images,
        uri(DRAWING),
        uri(DRAWING.replace("#a", "#b")),
        "refers to #b",
    ),
    "unresolved reference": (page_checks.check_text, "Text.", "See @fig-gone.", "@fig-gone"),
    "unresolved number": (page_checks.check_text, "Text.", "Figure ?? shows", r"Figure \?\?"),
    "cell left over": (page_checks.check_text, "Text.", "It is {python} x.", "python"),
    "no number": (page_checks.check_text, "Text.", "A loss of nan nats", "nan nats"),
    "level left out": (page_checks.check_headings, "h3>", "h4>", "level 4 follows one of level 2"),
    "two titles": (page_checks.check_headings, "<h2>Two", "<h1>Two", "2 main headings"),
    "bare table": (page_checks.check_tables, "th>", "td>", r"by order\): \[1\]"),
}


def test_a_whole_page_passes(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(WHOLE)
    page_checks.check_page(path)


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_page_is_found(case: str) -> None:
    check, old, new, message = BROKEN[case]
    broken = WHOLE.replace(old, new)
    assert broken != WHOLE
    with pytest.raises(AssertionError, match=message):
        check(Page(broken))


def test_a_page_that_is_too_large_is_found(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text(WHOLE + f"<!-- {' ' * int(page_checks.MEGABYTES * 1e6)} -->")
    with pytest.raises(AssertionError, match=r"15\.0 MB, more than 15"):
        page_checks.check_page(path)


WIDE = '<div style="width: 900px; background: #ddd">a bar</div>'
FAILING = "<script>undefined.call();</script>"
FETCHING = '<script>document.body.append(Object.assign(new Image(), {src: "gone.png"}));</script>'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (WIDE, "908 wide on a screen of 390"),
        (FAILING, "scripts fail at width 390.*undefined"),
        (FETCHING, "scripts fail|loads.*gone.png"),
        ("<p></p>", "blank at width 390"),
    ],
    ids=["wide", "failing", "fetching", "blank"],
)
def test_the_browser_finds_what_is_broken(tmp_path: Path, body: str, message: str) -> None:
    path = tmp_path / "page.html"
    path.write_text(f'<html><head><meta charset="utf-8"></head><body>{body}</body></html>')
    report = page_checks.look(path, page_checks.PHONE, 600, tmp_path)
    with pytest.raises(AssertionError, match=message):
        page_checks.check_report(report, page_checks.PHONE)


def test_a_report_of_loaded_files_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"loads \['https://a\.org"):
        page_checks.check_report(Report(390, ["https://a.org/a.js"], [], 0.5), 390)


def pdf(tmp_path: Path, text: str, *, title: str = "A title", tags: bool = True) -> Path:
    """A small PDF with a link inside."""
    source, path = tmp_path / "source.typ", tmp_path / "page.pdf"
    head = f'#set document(title: "{title}")\n' if title else ""
    source.write_text(head + "#set page(width: 12cm, height: 8cm)\n" + text)
    typst.compile(str(source), output=str(path), ignore_system_fonts=True, pdf_tags=tags)
    return path


LINKED = """= First <first>
See #link(<first>)[above] and #link(<later>)[below].
#pagebreak()
= Later <later>
Text.
"""


def test_a_whole_pdf_passes(tmp_path: Path) -> None:
    pdf_checks.check_pdf(pdf(tmp_path, LINKED))


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (LINKED, {"title": ""}, "no title"),
        (LINKED, {"tags": False}, "not tagged"),
        (LINKED + "#pagebreak()\n#page[]", {}, "page 3 of the PDF is blank"),
        (LINKED + "See Figure ??.", {}, "unresolved"),
        (LINKED + "See \\@fig-gone.", {}, "@fig-gone"),
        ("#move(dx: 8cm)[cutofftext that goes on and on]", {}, "cut off"),
        (
            "#table(columns: (1cm, 4cm), inset: 0pt, `a_long_name_in_code`, [neighbour])",
            {},
            "'a_long_name_in_code' runs into 'neighbour'",
        ),
    ],
    ids=["title", "tags", "blank", "reference", "label", "cut off", "overfull"],
)
def test_a_broken_pdf_is_found(tmp_path: Path, text: str, options: dict, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        pdf_checks.check_pdf(pdf(tmp_path, text, **options))


def changed(path: Path, change: Callable[[PdfWriter], None]) -> PdfReader:
    """The PDF after `change` did something to its objects."""
    writer = PdfWriter(clone_from=path)
    change(writer)
    writer.write(path)
    return PdfReader(path)


def test_a_font_that_is_not_embedded_is_found(tmp_path: Path) -> None:
    def strip(writer: PdfWriter) -> None:
        for item in writer._objects:
            if isinstance(item, DictionaryObject) and item.get("/Type") == "/FontDescriptor":
                for key in ("/FontFile", "/FontFile2", "/FontFile3"):
                    item.pop(NameObject(key), None)

    reader = changed(pdf(tmp_path, LINKED), strip)
    with pytest.raises(AssertionError, match="font not embedded"):
        pdf_checks.check_fonts(reader)


def test_a_link_to_nowhere_is_found(tmp_path: Path) -> None:
    def misdirect(writer: PdfWriter) -> None:
        annotations: Any = writer.pages[0]["/Annots"]
        link = annotations[0].get_object()
        link.pop("/A", None)
        link[NameObject("/Dest")] = TextStringObject("nowhere")

    reader = changed(pdf(tmp_path, LINKED), misdirect)
    with pytest.raises(AssertionError, match="unknown place nowhere"):
        pdf_checks.check_pdf_links(reader)
