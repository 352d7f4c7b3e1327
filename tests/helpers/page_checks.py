"""What holds of every finished page, as checks that any test can call.

`check_page` runs all that need no browser, `check_in_browser` the others. Each check raises
AssertionError and says what it found.
"""

import base64
import html
import io
import json
import re
import shutil
import subprocess
import tempfile
import urllib.parse
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

MEGABYTES = 15
PHONE, DESKTOP = 390, 1280
HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
# Text in these is code, or the words of the corpus, where anything may stand.
_NOT_PROSE = {"script", "style", "code", "pre", "template", "button", "svg", "math", "option"}
_UNRESOLVED = re.compile(r"\?\?|\?@|\{python\}|(?<![\w.])@(?:fig|tbl|sec|eq)-[\w-]+|\bnan\b|:::")
_LOADING = {"src", "srcset", "poster", "data", "background", "action", "formaction"}
_REFERRING = ("aria-labelledby", "aria-describedby", "aria-controls", "aria-owns", "for", "headers")
_EXTERNAL_STYLE = re.compile(r"@import|url\(\s*['\"]?(?!data:|#|%23)([^)'\"]{0,60})")


@dataclass
class Page(HTMLParser):
    """The elements of a page in order, and its prose."""

    source: str
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    prose: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    tables: list[int] = field(default_factory=list)  # header cells of each table
    links: list[tuple[str, str]] = field(default_factory=list)  # where it leads, what it says

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []
        self._tables: list[int] = []
        self._link = ""
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.elements.append((tag, attributes))
        if tag == "a":
            self._link = attributes.get("href", "")
        if tag in _NOT_PROSE:
            self._open.append(tag)
        if tag == "table":
            self._tables.append(len(self.tables))
            self.tables.append(0)
        if tag == "th" and self._tables:
            self.tables[self._tables[-1]] += 1
        if "style" in attributes:
            self.styles.append(attributes["style"])

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._link = ""
        if tag in self._open:
            self._open.remove(tag)
        if tag == "table" and self._tables:
            self._tables.pop()

    def handle_data(self, data: str) -> None:
        if self._link:
            self.links.append((self._link, data.replace("\xa0", " ")))
        if "style" in self._open:
            self.styles.append(data)
        elif not self._open:
            self.prose.append(data)

    def having(self, attribute: str) -> Iterator[tuple[str, str]]:
        for tag, attributes in self.elements:
            if attribute in attributes:
                yield tag, attributes[attribute]

    def named(self, *tags: str) -> list[tuple[str, dict[str, str]]]:
        return [(tag, attributes) for tag, attributes in self.elements if tag in tags]


def read_page(path: Path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


def check_page(path: Path) -> None:
    """Everything that can be said of a page without a browser."""
    size = path.stat().st_size / 1e6
    assert size < MEGABYTES, f"{path.name}: {size:.1f} MB, more than {MEGABYTES}"
    page = read_page(path)
    for check in PAGE_CHECKS:
        check(page)


def check_identity(page: Page) -> None:
    """A language, a title, one main part."""
    languages = [attributes.get("lang") for _, attributes in page.named("html")]
    assert any(languages), "the page has no language"
    assert re.search(r"<title>\s*[^<\s]", page.source), "the page has no title"
    assert len(page.named("main")) == 1, "the page needs exactly one <main>"


def check_links(page: Page) -> None:
    """Identifiers are unique, and every inner reference leads to one."""
    identifiers = Counter(identifier for _, identifier in page.having("id"))
    twice = [identifier for identifier, count in identifiers.items() if count > 1]
    assert not twice, f"identifiers used more than once: {twice[:5]}"
    targets = [value[1:] for _, value in page.having("href") if value.startswith("#")]
    targets += [value[1:] for _, value in page.having("xlink:href") if value.startswith("#")]
    for attribute in _REFERRING:
        targets += [name for _, value in page.having(attribute) for name in value.split()]
    targets += re.findall(r"url\(\s*['\"]?#([^)'\"]+)", " ".join(page.styles))
    broken = {t for t in targets if t and urllib.parse.unquote(t) not in identifiers}
    assert not broken, f"references that lead nowhere: {sorted(broken)[:5]}"


def check_offline(page: Page) -> None:
    """Nothing is loaded from a network or another file."""
    loaded = [(tag, value) for name in _LOADING for tag, value in page.having(name)]
    loaded += [
        (tag, attributes["href"])
        for tag, attributes in page.elements
        if tag not in ("a", "area") and "href" in attributes
    ]
    outside = [
        f"<{tag}> {value[:60]}"
        for tag, value in loaded
        if value and not value.startswith(("data:", "#", "about:"))
    ]
    assert not outside, f"loaded from outside: {outside[:5]}"
    for style in page.styles:
        match = _EXTERNAL_STYLE.search(style)
        assert not match, f"a style loads something: {match[0] if match else ''}"


def check_images(page: Page) -> None:
    """Every image has words for those who cannot see it, and can be decoded."""
    for tag, attributes in page.named("img", "svg"):
        hidden = attributes.get("aria-hidden") == "true"
        words = attributes.get("alt") or attributes.get("aria-label")
        words = words or attributes.get("aria-labelledby")
        assert hidden or words, f"<{tag}> without alternative text: {str(attributes)[:80]}"
        if tag == "img":
            _decode(attributes.get("src", ""))


def _decode(uri: str) -> None:
    match = re.match(r"data:image/([\w.+-]+)((?:;[\w-]+(?:=[\w-]+)?)*),(.*)", uri, re.DOTALL)
    assert match, f"not an image in the page: {uri[:60]}"
    kind, options, text = match.groups()
    try:
        data = (
            base64.b64decode(text, validate=True)
            if options.endswith(";base64")
            else urllib.parse.unquote_to_bytes(text)
        )
        if kind != "svg+xml":
            Image.open(io.BytesIO(data)).verify()
            return
        drawing = ET.fromstring(data)
    except Exception as error:
        raise AssertionError(f"an image does not decode: {error}") from None
    identifiers = Counter(element.attrib["id"] for element in drawing.iter() if element.get("id"))
    assert max(identifiers.values(), default=1) == 1, "identifiers within an SVG are not unique"
    for element in drawing.iter():
        for name, value in element.attrib.items():
            if name.endswith("href"):
                known = value.startswith("data:") or value.removeprefix("#") in identifiers
                assert known, f"an SVG refers to {value[:60]}"


def check_text(page: Page) -> None:
    """No reference, cell or number is left unresolved in the prose."""
    text = " ".join(" ".join(page.prose).split())
    found = [text[max(0, m.start() - 30) : m.end() + 30] for m in _UNRESOLVED.finditer(text)]
    assert not found, f"unresolved in the text: {found[:5]}"


def check_headings(page: Page) -> None:
    """One main heading, and no level left out below it."""
    levels = [int(tag[1]) for tag, _ in page.named(*HEADINGS)]
    assert levels.count(1) == 1, f"{levels.count(1)} main headings instead of one"
    for above, below in zip([0, *levels], levels, strict=False):
        assert below <= above + 1, f"a heading of level {below} follows one of level {above}"


def check_tables(page: Page) -> None:
    bare = [number for number, headers in enumerate(page.tables, 1) if not headers]
    assert not bare, f"tables without header cells (by order): {bare}"


PAGE_CHECKS = (
    check_identity,
    check_links,
    check_offline,
    check_images,
    check_text,
    check_headings,
    check_tables,
)


def check_in_browser(path: Path) -> None:
    """In headless Chromium, on a desk and on a phone: something to see, nothing that fails."""
    with tempfile.TemporaryDirectory() as scratch:
        for width, height in ((DESKTOP, 900), (PHONE, 844)):
            report = look(path, width, height, Path(scratch))
            check_report(report, width)


@dataclass(frozen=True)
class Report:
    """What a browser says of a page at one width."""

    scroll_width: int
    resources: list[str]
    errors: list[str]
    ink: float  # share of pixels that are not of the commonest colour


def check_report(report: Report, width: int) -> None:
    assert not report.errors, f"scripts fail at width {width}: {report.errors[:3]}"
    assert not report.resources, f"the page loads {report.resources[:3]}"
    assert report.scroll_width <= width, (
        f"the page is {report.scroll_width} wide on a screen of {width} and scrolls sideways"
    )
    assert report.ink > 0.01, f"the page is blank at width {width}"


_LISTEN = """<script>
window.pageErrors = [];
addEventListener("error", event => pageErrors.push(String(event.message || event.type)), true);
addEventListener("unhandledrejection", event => pageErrors.push(String(event.reason)));
addEventListener("load", () => setTimeout(() => parent.postMessage(JSON.stringify({
  width: document.documentElement.scrollWidth,
  resources: performance.getEntriesByType("resource").map(entry => entry.name),
  errors: pageErrors,
}), "*"), 1500));
</script>"""
# A frame is as narrow as it is told to be; a window is not.
_FRAME = """<!DOCTYPE html><title>frame</title><body style="margin: 0">
<iframe src="{page}" style="border: 0; width: {width}px; height: {height}px"></iframe>
<script>addEventListener("message", event => {{ document.title = event.data; }});</script>"""


def browse(page: Path, *options: str) -> str:
    """What headless Chromium prints when it opens a page; skips where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    program = next((found for name in names if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("no Chromium on PATH to look at the page")
    command = [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    command += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command += [f"--user-data-dir={page.parent / 'profile'}", *options, page.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=180).stdout


def look(path: Path, width: int, height: int, scratch: Path) -> Report:
    """Open a page in a frame of the given size, in CSS pixels."""
    source = path.read_text(encoding="utf-8")
    head = re.search(r"<head[^>]*>", source)
    at = head.end() if head else 0
    copy, frame, picture = scratch / "page.html", scratch / "frame.html", scratch / "page.png"
    copy.write_text(source[:at] + _LISTEN + source[at:], encoding="utf-8")
    frame.write_text(_FRAME.format(page=copy.name, width=width, height=height), encoding="utf-8")
    options = ("--hide-scrollbars", f"--window-size={max(width, 520)},{height}")
    options += ("--virtual-time-budget=8000",)
    title = re.search(r"<title>(\{.*?\})</title>", browse(frame, *options, "--dump-dom"), re.DOTALL)
    assert title, "the page never finished loading"
    said = json.loads(html.unescape(title[1]))
    browse(frame, *options, f"--screenshot={picture}")
    image = Image.open(picture).convert("RGB").crop((0, 0, width, height))
    colors = image.getcolors(maxcolors=width * height) or []
    paper = max((count for count, _ in colors), default=0)
    ink = 1 - paper / (image.width * image.height)
    return Report(said["width"], said["resources"], said["errors"], ink)
