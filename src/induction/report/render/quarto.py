"""Rendering with Quarto, where there is one."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from induction.errors import StudyError
from induction.report.render.source import DOCUMENT, Source

OLDEST = (1, 4)  # the first with Typst
QUARTO_SECONDS = 3600

_ANSI = re.compile(r"\x1b\[[0-9;]*m")
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
    """The Quarto to render with, or None where there is none that knows Typst.

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
        raise StudyError(f"QUARTO={wanted}: version {version or '?'}: 1.4 or later is needed")
    return None


def render_with_quarto(
    quarto: Quarto, source: Source, scratch: Path, environment: Mapping[str, str]
) -> None:
    """Render into a scratch folder below the source, as index.html and report.pdf.

    Raises StudyError with Quarto's last word when it fails, and when it only warns of an unknown
    reference, variable, citation or image.
    """
    before = set(source.folder.iterdir())
    command = [quarto.program, "render", ".", "--no-execute-daemon"]
    command += ["--output-dir", os.path.relpath(scratch, source.folder)]
    if source.date:
        command += ["--metadata", f"date:{source.date}"]
    process = subprocess.Popen(
        command,
        cwd=source.folder,
        env={**environment, "QUARTO_PYTHON": sys.executable},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,  # so that its kernel can be ended with it
    )
    try:
        output, _ = process.communicate(timeout=QUARTO_SECONDS)
        lines = [line.strip() for line in _ANSI.sub("", output).splitlines() if line.strip()]
        if process.returncode:
            raise source.fail(None, f"{quarto.name}: {_last_word(lines)}")
        _refuse_holes(source, lines)
        # Older versions name the PDF after the document, whatever `output-file` says.
        if (plain := scratch / "index.pdf").is_file():
            plain.replace(scratch / "report.pdf")
        for name in ("index.html", "report.pdf"):
            if not (scratch / name).is_file():
                raise source.fail(None, f"{quarto.name} made no {name}: see format in _quarto.yml")
    except subprocess.TimeoutExpired:
        raise source.fail(None, f"{quarto.name} ran longer than {QUARTO_SECONDS} s") from None
    except BaseException:
        _remove_intermediates(source, before)
        raise
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _last_word(lines: list[str]) -> str:
    """The line that says what went wrong: Quarto's own ERROR line, else the last of a traceback."""
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    useful = [line for line in errors if line and line != "Error"]
    return (useful or lines or ["failed without a message"])[-1]


def _refuse_holes(source: Source, lines: list[str]) -> None:
    for line in lines:
        for pattern, message in _HOLES:
            if match := pattern.search(line):
                raise source.fail(source.line_of(match[1]), message.format(match[1]))


def _remove_intermediates(source: Source, before: set[Path]) -> None:
    """Remove what a failed run left beside the document (index.typ, index_files and so on)."""
    stem = Path(DOCUMENT).stem
    for path in set(source.folder.iterdir()) - before:
        if path.name.startswith((f"{stem}.", f"{stem}_")):
            shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()
