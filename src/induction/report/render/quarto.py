"""Rendering with Quarto, where there is one."""

import io
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from induction.errors import StudyError
from induction.files import write_text
from induction.report.render.cells import COLOURS, Outputs, run_cells, to_markdown
from induction.report.render.pandoc import HTML, PDF, put_back, set_aside
from induction.report.render.source import DOCUMENT, Source

OLDEST = (1, 7)  # the first whose Typst knows what _quarto.yml has for the PDF
QUARTO_SECONDS = 3600
_OUTPUT = "_output"

# Quarto warns about these and goes on; a report with a hole in it is no report.
_HOLES = (
    (re.compile(r"Unable to resolve crossref (@\S+)"), "unknown reference {}"),
    (re.compile(r"Unknown var (\S+) specified"), "unknown variable {}: set it in _variables.yml"),
    (re.compile(r"[Cc]itation (\S+) not found"), "citation @{} is not in the bibliography"),
    (re.compile(r"Could not fetch resource (\S+?):? "), "the image {} is missing"),
)


@dataclass(frozen=True)
class Quarto:
    program: str
    version: str

    @property
    def name(self) -> str:
        return f"Quarto {self.version}"


def find_quarto() -> Quarto | None:
    """The Quarto to render with, or None where there is none that is new enough.

    Raises StudyError when QUARTO names a program that is not there or too old.
    """
    wanted = os.environ.get("QUARTO")
    if wanted == "":
        return None
    program = shutil.which(wanted or "quarto")
    if program is None:
        if wanted:
            raise StudyError(f"QUARTO={wanted}: no such program: unset it to render without Quarto")
        return None
    try:
        run = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=120, check=False
        )
        version = run.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        version = ""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers and (int(numbers[1]), int(numbers[2])) >= OLDEST:
        return Quarto(program, version)
    if wanted:
        oldest = ".".join(map(str, OLDEST))
        raise StudyError(f"QUARTO={wanted}: version {version or '?'}: {oldest} or later is needed")
    return None


def render_with_quarto(
    quarto: Quarto, source: Source, scratch: Path, environment: Mapping[str, str]
) -> None:
    """Write index.html and report.pdf into an empty scratch folder.

    The cells run here, once, and Quarto gets a copy of the project in which their outputs stand in
    place of them: by itself it would run them for each format again. Raises StudyError for a cell
    that raises, with Quarto's own word when it fails, and when it only warns of an unknown
    reference, variable, citation or image.
    """
    folder = scratch / "project"
    large = _write_project(source, folder, run_cells(source, environment))
    command = [quarto.program, "render", "."]
    if source.date:
        command += ["--metadata", f"date:{source.date}"]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # so that what it starts can be ended with it
    )
    try:
        output, _ = process.communicate(timeout=QUARTO_SECONDS)
    except subprocess.TimeoutExpired:
        raise source.fail(None, f"{quarto.name} ran longer than {QUARTO_SECONDS} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    lines = [line.strip() for line in COLOURS.sub("", output).splitlines() if line.strip()]
    if process.returncode:
        raise source.fail(None, f"{quarto.name}: {_reason(lines)}")
    _refuse_holes(source, lines)
    made = folder / _OUTPUT
    # Older versions name the PDF after the document, whatever `output-file` says.
    names = {HTML: (HTML,), PDF: (PDF, f"{Path(DOCUMENT).stem}.pdf")}
    for name, candidates in names.items():
        found = next((made / each for each in candidates if (made / each).is_file()), None)
        if found is None:
            raise source.fail(None, f"{quarto.name} made no {name}: see format in _quarto.yml")
        shutil.copyfile(found, scratch / name)
    put_back(scratch / HTML, large)


def _write_project(source: Source, folder: Path, outputs: Mapping[int, Outputs]) -> list[str]:
    """A copy of the project that holds no code; returns what was set aside of its page.

    Style sheets and bibliographies that lie outside are copied too.
    """
    shutil.copytree(
        source.folder, folder, ignore=lambda _, names: [n for n in names if n[0] in "._"]
    )
    settings, front = source.expanded()
    settings["project"] = {"type": "default", "output-dir": _OUTPUT, "render": [DOCUMENT]}
    write_text(folder / "_quarto.yml", _yaml(_within(settings, source.folder, folder)))
    large: list[str] = []
    text = set_aside(to_markdown(source, outputs, "quarto", folder / "figures"), large)
    text = text.replace(f"(<{folder}/", "(<")
    header = _yaml({**front, "engine": "markdown"})
    write_text(folder / DOCUMENT, f"---\n{header}---\n\n{text}")
    return large


def _yaml(values: Mapping[str, Any]) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.dump(dict(values), text := io.StringIO())
    return text.getvalue()


def _within(value: Any, origin: Path, folder: Path) -> Any:
    """Settings with every path that leads out of the project replaced by a copy inside."""
    if isinstance(value, dict):
        return {key: _within(item, origin, folder) for key, item in value.items()}
    if isinstance(value, list):
        return [_within(item, origin, folder) for item in value]
    if isinstance(value, str) and value.startswith("../") and (origin / value).is_file():
        return shutil.copyfile(origin / value, folder / Path(value).name).name
    return value


def _reason(lines: list[str]) -> str:
    """The line that says what went wrong: that of typst, else of Quarto, else the last one."""
    typst = [line for line in lines if line.startswith("error:")]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    useful = [line for line in errors if line and line not in ("Error", "Problem with running")]
    words = [line for line in lines if re.search(r"\w{3}", line)]
    return (typst[:1] or useful[-1:] or words[-1:] or ["failed without a message"])[0]


def _refuse_holes(source: Source, lines: list[str]) -> None:
    for line in lines:
        for pattern, message in _HOLES:
            if match := pattern.search(line):
                raise source.fail(source.line_of(match[1]), message.format(match[1]))
