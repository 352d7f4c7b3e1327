"""Rendering without Quarto: cells by nbclient, text by pandoc, PDF by typst, all from wheels."""

import json
import re
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pypandoc
import typst

from induction.errors import StudyError
from induction.report.render.cells import run_cells, to_markdown
from induction.report.render.source import Source, long_date

HTML, PDF = "index.html", "report.pdf"
PANDOC_SECONDS = 180  # a filter that loops fills the memory in a few minutes

_LARGE = 50_000  # characters of raw HTML
_RAW_HTML = re.compile(r"^(`{3,})\{=html\}\n(.*?)\n\1$", re.MULTILINE | re.DOTALL)
_MARK = '<i class="set-aside-{}"></i>'

_HERE = Path(__file__).parent
_FILTERS = ("blocks.lua", "crossref.lua", "finish.lua")  # in this order, and before citeproc
# What pandoc gets to see of the settings. The others steer Quarto, and some (such as `toc: true`)
# would shadow variables of the templates.
_METADATA = [
    "title",
    "subtitle",
    "abstract",
    "abstract-title",
    "toc-title",
    "lang",
    "papersize",
    "number-sections",
    "bibliography",
    "csl",
    "link-citations",
    "nocite",
    "reference-section-title",
    "suppress-bibliography",
]


def renderer_name() -> str:
    return f"pandoc {pypandoc.get_pandoc_version()} and typst {version('typst')}"


def render_with_pandoc(source: Source, scratch: Path, environment: Mapping[str, str]) -> None:
    """Write index.html and report.pdf into an empty scratch folder.

    Raises StudyError, naming the line of the source where it can, for a cell that raises, an
    unknown reference, citation or image, and whatever else pandoc or typst refuse.
    """
    outputs = run_cells(source, environment)
    figures = scratch / "figures"
    large: list[str] = []
    for target in ("html", "typst"):
        text = to_markdown(source, outputs, target, figures)
        if target == "html":
            text = set_aside(text, large)
        (scratch / f"{target}.md").write_text(text, encoding="utf-8")
    with ThreadPoolExecutor(1) as pool:
        page = pool.submit(_pandoc, source, "html", scratch)
        _pandoc(source, "typst", scratch)
        _typst(source, scratch / "report.typ", scratch / PDF, int(environment["SOURCE_DATE_EPOCH"]))
        page.result()
    put_back(scratch / HTML, large)


def set_aside(text: str, large: list[str]) -> str:
    """Large raw HTML goes into the list, and a mark into its place: pandoc would take seconds to
    look for images in data and scripts."""

    def mark(found: re.Match[str]) -> str:
        if len(found[2]) < _LARGE:
            return found[0]
        large.append(found[2])
        return f"{found[1]}{{=html}}\n{_MARK.format(len(large) - 1)}\n{found[1]}"

    return _RAW_HTML.sub(mark, text)


def put_back(page: Path, large: list[str]) -> None:
    """StudyError when the page lacks a mark, and so would lack a part."""
    text = page.read_text(encoding="utf-8")
    for number, content in enumerate(large):
        before, mark, after = text.partition(_MARK.format(number))
        if not mark:
            raise StudyError(f"{page.name}: raw HTML of {len(content):,} characters was lost on it")
        text = before + content + after
    page.write_text(text, encoding="utf-8")


def _pandoc(source: Source, target: str, scratch: Path) -> None:
    """Turn `TARGET.md` in the scratch folder into index.html or report.typ."""
    settings = source.settings(target)
    metadata = scratch / f"{target}.json"
    metadata.write_text(json.dumps(_metadata(settings)), encoding="utf-8")
    command = [pypandoc.get_pandoc_path(), str(scratch / f"{target}.md")]
    command += ["--from=markdown", "--standalone"]
    command += ["--preserve-tabs"]  # scripts within the page may hold some
    command += ["--syntax-highlighting=monochrome"]  # the coloured styles are too pale to read
    command += [f"--metadata-file={metadata}", f"--resource-path={source.folder.resolve()}"]
    command += [f"--lua-filter={_HERE / name}" for name in _FILTERS]
    command += ["--citeproc", "--fail-if-warnings"]
    if settings.get("toc", False):
        command += ["--toc", f"--toc-depth={settings.get('toc-depth', 3)}"]
    if target == "html":
        command += ["--to=html5", "--mathml", "--embed-resources", f"--output={scratch / HTML}"]
        command += [f"--template={_HERE / 'template.html'}", f"--css={_HERE / 'page.css'}"]
        command += [f"--css={sheet}" for sheet in _list(settings.get("css"))]
        command += [f"--include-in-header={_head(source, settings, scratch)}"]
    else:
        # Without `citations`, what citeproc made is used; without `smart`, quotes are literal.
        command += ["--to=typst-citations-smart", f"--output={scratch / 'report.typ'}"]
        command += [f"--template={_HERE / 'template.typ'}"]
    try:
        run = subprocess.run(
            command,
            cwd=source.folder,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=PANDOC_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise source.fail(None, f"pandoc ran longer than {PANDOC_SECONDS} s") from None
    if run.returncode:
        raise _pandoc_error(source, run.stderr)


def _head(source: Source, settings: Mapping[str, Any], scratch: Path) -> Path:
    """A file with what the settings put into the page's head."""
    entries = _list(settings.get("include-in-header"))
    if not all(isinstance(entry, dict) and list(entry) == ["text"] for entry in entries):
        raise source.fail(None, "include-in-header: give text, as in `- text: |`; no files")
    head = scratch / "head.html"
    head.write_text("".join(entry["text"] for entry in entries), encoding="utf-8")
    return head


def _metadata(settings: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {key: settings[key] for key in _METADATA if key in settings}
    authors = [
        str(author.get("name", "")) if isinstance(author, dict) else str(author)
        for author in _list(settings.get("author"))
    ]
    metadata |= {"author": authors, "renderer": renderer_name()}
    metadata.setdefault("lang", "en")
    if "date" in settings:
        metadata["date"] = long_date(settings["date"])
    return metadata


def _pandoc_error(source: Source, stderr: str) -> StudyError:
    """What pandoc complains about, in one line, with the place in the source if it is there."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    for line in lines:
        if line.startswith("report: "):
            token, _, message = line.removeprefix("report: ").partition("\t")
            return source.fail(source.line_of(token), message)
    for line in lines:
        if match := re.search(r"citation (\S+) not found", line):
            key = match[1]
            return source.fail(
                source.line_of(f"@{key}"), f"citation @{key} is not in the bibliography"
            )
    warning = next((line for line in lines if line.startswith("[WARNING]")), None)
    message = warning.removeprefix("[WARNING] ") if warning else " ".join(lines[:2])
    return source.fail(None, f"pandoc: {message or 'failed without a message'}")


def _typst(source: Source, text: Path, pdf: Path, epoch: int) -> None:
    """Write the PDF. Where its writer of tags fails, which happens to a table that goes on over the
    page beside a figure that moves, headers of tables are not repeated."""
    written = text.read_text(encoding="utf-8")
    for attempt in (written, written.replace("table.header(", "table.header(repeat: false, ")):
        text.write_text(attempt, encoding="utf-8")
        try:
            typst.compile(
                str(text),
                output=str(pdf),
                root="/",  # images lie in the scratch folder and beside the source
                ignore_system_fonts=True,
                pdf_standards=["ua-1"],
                timestamp=epoch,
            )
        except RuntimeError as error:
            problem = (str(error).strip().splitlines() or ["no message"])[0]
            if not problem.startswith("internal error"):
                break
        else:
            return
    raise source.fail(None, f"typst: {problem}")


def _list(value: Any) -> list[Any]:
    return [] if value is None else value if isinstance(value, list) else [value]
