"""Reading a Quarto source without Quarto: its settings, and its text cut into prose and cells."""

import datetime
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from induction.errors import StudyError

DOCUMENT = "index.qmd"

# What a cell may say after `#|`. Anything else is refused: Quarto may act on it, and then the two
# renderings would differ.
CELL_OPTIONS = frozenset(
    [
        "label",
        "include",
        "echo",
        "eval",
        "output",
        "warning",
        "message",
        "code-fold",
        "code-summary",
        "fig-cap",
        "fig-subcap",
        "fig-alt",
        "layout-ncol",
        "tbl-cap",
        "tbl-colwidths",
    ]
)

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*\n", re.DOTALL | re.MULTILINE)
_SHORTCODE = re.compile(r"\{\{<\s*(?P<shortcode>.*?)\s*>\}\}", re.DOTALL)
# Whole fences, comments and code spans are consumed, so that nothing inside them is taken for
# something else: a fence within a longer fence, a shortcode within a comment.
_SPECIAL = re.compile(
    r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})(?P<info>[^`\n]*)\n"
    r"(?P<body>(?:.*\n)*?)(?P=indent)(?P=fence)[`~]*[ \t]*$\n?"
    r"|(?P<comment><!--(?:.|\n)*?-->)"
    r"|(?<!`)(?P<ticks>`+)(?!`)(?P<span>(?:.|\n(?!\n))+?)(?<!`)(?P=ticks)(?!`)"
    r"|" + _SHORTCODE.pattern,
    re.MULTILINE,
)
_CELL_START = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[ \t]*\{python\b", re.MULTILINE)


@dataclass(frozen=True)
class Prose:
    """Markdown that goes to pandoc as it is."""

    text: str


@dataclass(frozen=True)
class Cell:
    """A `{python}` block: its code without the option lines, and where that code starts."""

    code: str
    options: Mapping[str, Any]
    line: int

    @property
    def label(self) -> str:
        return str(self.options.get("label", ""))


@dataclass(frozen=True)
class Inline:
    """A `{python} expression` within a line of prose."""

    code: str
    line: int


Piece = Prose | Cell | Inline


class Source:
    """A folder with `_quarto.yml` and `index.qmd`.

    Reading it raises StudyError, with file and line, for YAML that does not parse, shortcodes
    other than `var`, unknown variables and cell options, missing captions, open fences, and a
    `date` (which takes the place of the document's own) that is not written 2026-01-31.
    """

    def __init__(self, folder: Path, date: str | None = None):
        given = _iso_date(date)
        if date is not None and given is None:
            raise StudyError(f"date {date!r}: write it as year-month-day, such as 2026-01-31")
        self.folder = folder
        self.date = given.isoformat() if given else None
        self.path = folder / DOCUMENT
        self._labels: set[str] = set()
        try:
            self.text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise StudyError(
                f"{self.path}: missing: a report's source is a Quarto project"
            ) from None
        except UnicodeDecodeError as error:
            raise StudyError(f"{self.path}: not UTF-8 text: {error}") from None
        self._front = _FRONT_MATTER.match(self.text)
        self._project = _yaml_file(folder / "_quarto.yml")
        self._variables = _yaml_file(folder / "_variables.yml")

    @cached_property
    def front_matter(self) -> dict[str, Any]:
        return _yaml(self._front[1], self.path, first_line=2) if self._front else {}

    @cached_property
    def epoch(self) -> int:
        """Midnight (UTC) of the document's date in Unix time; 0 when it has no plain date."""
        written = self.front_matter.get("date", self._project.get("date"))
        if (date := _iso_date(self.date or written)) is None:
            return 0
        return int(datetime.datetime(*date.timetuple()[:3], tzinfo=datetime.UTC).timestamp())

    def settings(self, target: str) -> dict[str, Any]:
        """Everything set for one format ("html" or "typst"): document over project, format last."""
        general: dict[str, Any] = {}
        special: dict[str, Any] = {}
        for layer in (self._project, self.front_matter):
            general = _merged(general, {k: v for k, v in layer.items() if k != "format"})
            formats = layer.get("format")
            if isinstance(formats, dict) and isinstance(formats.get(target), dict):
                special = _merged(special, formats[target])
        # Under a format, the options of `execute` are written flat.
        execute = general.get("execute")
        general = _merged(execute if isinstance(execute, dict) else {}, general)
        settings = self._expanded(_merged(general, special))
        return settings | ({"date": self.date} if self.date else {})

    def expanded(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What _quarto.yml and the document's front matter say, with every shortcode replaced."""
        return self._expanded(self._project), self._expanded(self.front_matter)

    @cached_property
    def pieces(self) -> list[Piece]:
        """The document's body, in order."""
        return list(self._cut(self._front.end() if self._front else 0))

    def line_of(self, token: str) -> int | None:
        """The first line that holds a token, such as an unknown reference or "#fig-loss"."""
        pattern = re.escape(token)
        if token.startswith("#"):  # a cell has its label as an option
            pattern += rf"|#\|\s*label:\s*{re.escape(token[1:])}"
        match = re.search(rf"(?:{pattern})(?![\w-])", self.text)
        return self._line(match.start()) if match else None

    def fail(self, line: int | None, message: str) -> StudyError:
        """An error that names the document and, where known, the line."""
        return StudyError(f"{self.path}:{line}: {message}" if line else f"{self.path}: {message}")

    def _cut(self, start: int) -> Iterator[Piece]:
        for match in _SPECIAL.finditer(self.text, start):
            yield self._prose(start, match.start())
            start = match.end()
            line = self._line(match.start())
            if match["fence"]:
                yield self._fenced(match, line)
            elif match["shortcode"] is not None:
                yield Prose(self._shortcode(match["shortcode"], line))
            elif match["ticks"] == "`" and match["span"].startswith("{python}"):
                if self.text[match.end() : match.end() + 1].isalnum():
                    message = "a letter follows this inline code, which Quarto then does not run"
                    raise self.fail(line, f"{message}: put a space or a full stop between them")
                yield Inline(match["span"].removeprefix("{python}").strip(), line)
            elif not match["comment"]:
                yield Prose(self._expanded(match[0], line))
        yield self._prose(start, len(self.text))

    def _prose(self, start: int, end: int) -> Prose:
        text = self.text[start:end]
        if open_fence := _CELL_START.search(text):
            line = self._line(start + open_fence.start())
            raise self.fail(line, "this cell is never closed: end it with a line of ```")
        return Prose(text)

    def _fenced(self, match: re.Match[str], line: int) -> Piece:
        info = match["info"].strip()
        if not re.match(r"\{[a-z]", info):
            if _CELL_START.search(match["body"]):
                raise self.fail(line, "a {python} fence inside another fence: Quarto would run it")
            return Prose(match[0])
        if info != "{python}" or match["indent"]:
            raise self.fail(line, f"{info}: only {{python}}, from the start of a line, is run")
        lines = match["body"].splitlines()
        count = next((n for n, text in enumerate(lines) if not text.startswith("#|")), len(lines))
        options = _yaml(
            "\n".join(text.removeprefix("#|").removeprefix(" ") for text in lines[:count]),
            self.path,
            first_line=line + 1,
        )
        if unknown := sorted(options.keys() - CELL_OPTIONS):
            valid = ", ".join(sorted(CELL_OPTIONS))
            raise self.fail(line, f"unknown cell option {unknown[0]!r}: use one of {valid}")
        label = str(options.get("label", ""))
        if (kind := label.partition("-")[0]) in ("fig", "tbl") and not options.get(f"{kind}-cap"):
            raise self.fail(line, f"cell {label} has no {kind}-cap: give its caption")
        if label and label in self._labels:
            raise self.fail(line, f"the label {label} is used twice")
        self._labels.add(label)
        return Cell("\n".join(lines[count:]).strip("\n"), options, line + 1 + count)

    def _expanded(self, value: Any, line: int | None = None) -> Any:
        """A value in which every shortcode of every text is replaced."""
        if isinstance(value, dict):
            return {key: self._expanded(item, line) for key, item in value.items()}
        if isinstance(value, list):
            return [self._expanded(item, line) for item in value]
        if isinstance(value, str):
            return _SHORTCODE.sub(lambda match: self._shortcode(match["shortcode"], line), value)
        return value

    def _shortcode(self, text: str, line: int | None) -> str:
        line = line or self.line_of(text)
        name, _, key = text.partition(" ")
        if name != "var":
            raise self.fail(line, f"shortcode {name!r} is not supported: only var is")
        value: Any = self._variables
        for part in key.strip().split("."):
            if not isinstance(value, dict) or part not in value:
                raise self.fail(line, f"unknown variable {key.strip()}: set it in _variables.yml")
            value = value[part]
        return str(value)

    def _line(self, position: int) -> int:
        return self.text.count("\n", 0, position) + 1


def _iso_date(value: Any) -> datetime.date | None:
    if isinstance(value, datetime.date):
        return value
    try:
        return datetime.date.fromisoformat(str(value))
    except ValueError:
        return None


def long_date(value: Any) -> str:
    """A date as Quarto prints it: "2026-01-01" becomes "January 1, 2026"; other text stays."""
    date = _iso_date(value)
    return f"{date:%B} {date.day}, {date.year}" if date else str(value)


def _merged(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(under)
    for key, value in over.items():
        old = result.get(key)
        if isinstance(old, dict) and isinstance(value, dict):
            value = _merged(old, value)
        result[key] = value
    return result


def _yaml_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    return _yaml(path.read_text(encoding="utf-8"), path, first_line=1)


def _yaml(text: str, path: Path, first_line: int) -> dict[str, Any]:
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        problem = (error.problem if isinstance(error, MarkedYAMLError) else None) or "bad YAML"
        line = first_line + (mark.line if mark else 0)
        raise StudyError(f"{path}:{line}: {problem}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise StudyError(f"{path}:{first_line}: expected `key: value` lines")
    return value
