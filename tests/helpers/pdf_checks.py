"""What holds of every finished PDF, as checks that any test can call: `check_pdf` runs them all.

Each check raises AssertionError and says what it found.
"""

import html
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pypdf import PdfReader
from pypdf.generic import ArrayObject, DictionaryObject, IndirectObject

_UNRESOLVED = re.compile(
    r"(?:Figure|Table|Section|Equation)\s*\?|\?@|(?<![\w.])@(?:fig|tbl|sec|eq)-[\w-]+|Traceback \("
)


def check_pdf(path: Path) -> None:
    """Everything that can be said of a PDF by reading it."""
    reader = PdfReader(path)
    for check in PDF_CHECKS:
        check(reader)
    check_words(path)


def check_properties(reader: PdfReader) -> None:
    """Title, language, structure for screen readers."""
    catalog = reader.root_object
    assert (reader.metadata or {}).get("/Title"), "the PDF has no title"
    assert catalog.get("/Lang"), "the PDF has no language"
    marks: Any = catalog.get("/MarkInfo", {})
    assert marks.get_object().get("/Marked") if marks else False, "the PDF is not tagged"
    assert "/StructTreeRoot" in catalog, "the PDF has no structure"


def check_fonts(reader: PdfReader) -> None:
    seen = 0
    for page in reader.pages:
        for font in _fonts(page.get("/Resources"), set()):
            for face in font.get("/DescendantFonts", [font]):
                descriptor = face.get_object().get("/FontDescriptor", {}).get_object()
                embedded = any(f"/FontFile{n}" in descriptor for n in ("", "2", "3"))
                type3 = font.get("/Subtype") == "/Type3"
                assert embedded or type3, f"font not embedded: {font.get('/BaseFont')}"
                seen += 1
    assert seen, "the PDF has no text"


def _fonts(resources: Any, done: set[int]) -> Iterator[DictionaryObject]:
    """The fonts of a page and of the drawings inside it."""
    if resources is None or id(resources := resources.get_object()) in done:
        return
    done.add(id(resources))
    for font in resources.get("/Font", DictionaryObject()).get_object().values():
        yield font.get_object()
    for drawing in resources.get("/XObject", DictionaryObject()).get_object().values():
        yield from _fonts(drawing.get_object().get("/Resources"), done)


def check_no_page_is_blank(reader: PdfReader) -> None:
    texts = [
        [re.sub(r"\d+", "", line).strip() for line in (page.extract_text() or "").splitlines()]
        for page in reader.pages
    ]
    pages_with = Counter(line for lines in texts for line in set(lines))
    for number, (page, lines) in enumerate(zip(reader.pages, texts, strict=True), 1):
        own = [line for line in lines if line and pages_with[line] < max(2, len(texts))]
        resources: Any = page.get("/Resources") or DictionaryObject()
        drawings = resources.get_object().get("/XObject")
        assert own or drawings, f"page {number} of the PDF is blank"


def check_pdf_links(reader: PdfReader) -> None:
    """Every link inside the PDF leads to a page of it."""
    pages = {page.indirect_reference.idnum for page in reader.pages if page.indirect_reference}
    names = reader.named_destinations
    for number, page in enumerate(reader.pages, 1):
        for annotation in page.get("/Annots") or []:
            link = annotation.get_object()
            action = link.get("/A", DictionaryObject()).get_object()
            target = link.get("/Dest", action.get("/D"))
            if link.get("/Subtype") != "/Link" or "/URI" in action:
                continue
            where = f"page {number}: a link"
            assert target is not None, f"{where} leads nowhere"
            target = target.get_object()
            if isinstance(target, ArrayObject):
                place = target[0]
                known = isinstance(place, IndirectObject) and place.idnum in pages
                assert known, f"{where} leads to no page"
            else:
                assert str(target) in names, f"{where} leads to the unknown place {target}"


def check_pdf_text(reader: PdfReader) -> None:
    text = " ".join(" ".join(page.extract_text() or "" for page in reader.pages).split())
    found = [match[0] for match in _UNRESOLVED.finditer(text)]
    assert not found, f"unresolved in the PDF: {found[:5]}"


PDF_CHECKS = (
    check_properties,
    check_fonts,
    check_no_page_is_blank,
    check_pdf_links,
    check_pdf_text,
)


def check_words(path: Path) -> None:
    """No word leaves its page or runs into the next word, as in a table column that is too narrow.

    Says nothing where `pdftotext`, which knows where words stand, is not installed.
    """
    if not shutil.which("pdftotext"):
        return
    run = subprocess.run(
        ["pdftotext", "-bbox", str(path), "-"], capture_output=True, text=True, check=True
    )
    for number, page in enumerate(run.stdout.split("<page ")[1:], 1):
        width = float(re.search(r'width="([\d.]+)"', page)[1])  # type: ignore[index]
        _check_boxes(number, width, list(_word_boxes(page)))


Box = tuple[float, float, float, float, str]
OVERLAP = 2.5  # points; formulas set their letters closer than words


def _word_boxes(page: str) -> Iterator[Box]:
    pattern = r'xMin="([\d.-]+)" yMin="([\d.-]+)" xMax="([\d.-]+)" yMax="([\d.-]+)">(.*?)</word>'
    for left, top, right, bottom, word in re.findall(pattern, page):
        yield float(left), float(top), float(right), float(bottom), html.unescape(word)


def _check_boxes(number: int, width: float, boxes: list[Box]) -> None:
    boxes.sort()
    for place, (left, top, right, bottom, word) in enumerate(boxes):
        assert min(left, width - right) >= 0, f"page {number}: {word!r} is cut off"
        for other_left, other_top, _, other_bottom, other in boxes[place + 1 :]:
            if other_left > right - OVERLAP:
                break
            shared = min(bottom, other_bottom) - max(top, other_top)
            apart = shared < 0.5 * min(bottom - top, other_bottom - other_top)
            assert apart, f"page {number}: {word!r} runs into {other!r}"
