"""Numbers as words and Markdown: no figure in the report's prose is typed by hand."""

import re
from collections.abc import Iterable, Sequence, Set
from functools import cache

from matplotlib.font_manager import findfont, get_font

from induction.runs.metrics import metric


def short_tokens(tokens: float | None) -> str:
    """4123456 → 4.1M; None → –."""
    if tokens is None:
        return "–"
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if tokens >= size:
            return f"{tokens / size:.3g}{unit}"
    return f"{tokens:.0f}"


def onset(tokens: float | None) -> str:
    """4123456 → 4.1M; None, of a model without a phase change → none."""
    return short_tokens(tokens) if tokens else "none"


def onsets(tokens: Sequence[float | None]) -> str:
    """Those of several seeds, by the least and the greatest: 4.1M to 5M, none in 1 of 3."""
    found = sorted(each for each in tokens if each)
    if not found:
        return "none"
    ends = " to ".join(dict.fromkeys(map(short_tokens, (found[0], found[-1]))))
    missing = len(tokens) - len(found)
    return f"{ends}, none in {missing} of {len(tokens)}" if missing else ends


def number(value: float | None, digits: int = 2) -> str:
    """A number with a real minus sign; None → –."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def percent(share: float | None) -> str:
    """A share as a whole percentage; None → –."""
    return "–" if share is None else f"{100 * share:.0f}\u00a0%".replace("-", "−")


def quantity(name: str, value: float | None, signed: bool = False) -> str:
    """A metric's value in its unit, with a sign where it is a change; None → –."""
    if value is None:
        return "–"
    write = {"tokens": short_tokens, "%": percent, "heads": _whole}.get(metric(name).unit, _precise)
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    return f"{sign}{write(abs(value))}"


def _whole(value: float) -> str:
    return number(value, 0)


def _precise(value: float) -> str:
    return number(value, 3)


def names(models: Sequence[str], most: int | None = None) -> str:
    """`a`, `b` and `c`; several seeds of a kind together: `a` (s10, s11) and `b`, or `a` (and s1,
    s2) with one that has no number. Of more than `most`, the others are counted."""
    groups: dict[str, list[str]] = {}
    for name in models[:most]:
        groups.setdefault(re.sub(r"-s\d+$", "", name), []).append(name)
    quoted = [each for stem, found in groups.items() for each in _quoted(stem, found)]
    more = 0 if most is None else max(0, len(models) - most)
    return listed([*quoted, f"{more} more"] if more else quoted)


def listed(parts: Sequence[str], last: str = "and") -> str:
    """a, b and c."""
    return f" {last} ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def _quoted(stem: str, models: Sequence[str]) -> list[str]:
    """attn-2l and its models attn-2l-s10 and attn-2l-s11 → `attn-2l` (s10, s11)."""
    numbered = [name.removeprefix(f"{stem}-") for name in models if name != stem]
    if len(numbered) < 2:
        return [f"`{name}`" for name in models]
    return [f"`{stem}` ({'and ' if stem in models else ''}{', '.join(numbered)})"]


def code(text: str) -> str:
    """Any text as a code span on one line: breaks shown, back-ticks made harmless, and characters
    that the PDF's fixed-width font lacks as ⟨U+6F22⟩."""
    shown = text.replace("\n", "⏎").replace("\t", "→").replace("`", "‵").replace("\r", "")
    shown = "".join(c if ord(c) in _drawable() else f"⟨U+{ord(c):04X}⟩" for c in shown)
    return f"`{shown}`" if shown.strip() else "`␣`"


@cache
def _drawable() -> Set[int]:
    """What DejaVu Sans Mono has, which typst brings and, as a file to look into, matplotlib."""
    return get_font(findfont("DejaVu Sans Mono")).get_charmap().keys()


def short_digest(text: str) -> str:
    """A SHA-256 cut to its first twelve digits, which a line has room for; other text as it is."""
    return f"{text[:12]}…" if re.fullmatch(r"[0-9a-f]{64}", text) else text


BOX = 'typst:fill="luma(245)" typst:inset="8pt" typst:radius="3pt" typst:width="100%"'
"""Attributes from which Quarto draws a box in the PDF, beside a class `notice` or `summary`."""


def notice(title: str, paragraphs: Sequence[str]) -> str:
    """A box for what a reader has to know first. Not a callout: Quarto's PDF loads a font for the
    icons of these from the network."""
    text = "\n\n".join([f"**{title}.** {paragraphs[0]}", *paragraphs[1:]])
    return f"::: {{.notice {BOX}}}\n{text}\n:::"


def markdown_table(header: Sequence[str], align: str, rows: Iterable[Sequence[str]]) -> str:
    """A pipe table; `align` has one of l, r for each column. Cells are escaped."""
    rule = [":---" if side == "l" else "---:" for side in align]
    lines = [header, rule, *([_escape(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")
