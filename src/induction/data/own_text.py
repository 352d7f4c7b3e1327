"""The user's own files as text: encodings, line ends, prose or code, and pieces of long files."""

import codecs
import re
from pathlib import PurePath

PROSE = frozenset(
    ["", ".txt", ".text", ".md", ".markdown", ".rst", ".adoc", ".org", ".tex", ".html"]
)
"""Endings of files that are read as prose; all others are read as code."""

PIECE = 20_000  # characters; many times a context, and dozens of pieces to a novel
_MARKS = (
    # UTF-32 first: its mark begins with that of UTF-16.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
# Where a long file may be cut, the best place first: a blank line, a line end, the end of a
# sentence (also of those that no space follows), a space.
_PLACES = tuple(map(re.compile, (r"\n\s*\n", r"\n", r"[.!?]\s|[。！？]", r"\s")))
# What ends a run of letters in writing without spaces, beside white space.
_BREAKS = re.compile(r"[\s\u3000-\u303f\uff01-\uff0f\uff1a-\uff20\u060c\u061b\u06d4\u0964]+")


def decoded(content: bytes) -> str | None:
    """A file's text by its byte-order mark, or as UTF-8 without one; None where it is neither, or
    holds the zero bytes of a file that is no text."""
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def why_no_text(content: bytes) -> str:
    """Why `decoded` gave None, for a message."""
    try:
        content.decode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start}"
    return "it holds zero bytes, as files that are no text do"


def with_plain_line_ends(text: str) -> str:
    """Line ends of all systems as `\\n`."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def is_prose(name: str) -> bool:
    return PurePath(name).suffix.lower() in PROSE


def longest_run(text: str) -> int:
    """Characters of the longest stretch without white space or the stops of writing without it: in
    prose a line may be a paragraph, but no word is hundreds of letters long."""
    return max(map(len, _BREAKS.split(text)))


def pieces(text: str) -> list[str]:
    """A text in pieces of about PIECE characters; whole where it is shorter than two of them.

    Each piece ends at the last blank line in the second half of what fits, else at the last line
    end there, sentence, or space; and where there is none, after PIECE characters.
    """
    found, begin = [], 0
    while len(text) - begin >= 2 * PIECE:
        end = _place(text, begin)
        found.append(text[begin:end])
        begin = end
    return [*found, text[begin:]]


def _place(text: str, begin: int) -> int:
    """Where the piece that begins there ends."""
    half, last = begin + PIECE // 2, begin + PIECE
    for place in _PLACES:
        ends = [match.end() for match in place.finditer(text, half, last)]
        if ends:
            return ends[-1]
    return last
