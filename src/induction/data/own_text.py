"""The user's own files as text: encodings, line ends, prose or code, and pieces of long files."""

import codecs
import re
from dataclasses import dataclass
from pathlib import PurePath

_CODE = re.compile(
    r"\.(asm|awk|bas|bash|bat|c|cc|clj|cmake|cpp|cs|css|csv|cu|cuh|cxx|d|dart|el|erl|ex|exs|f|f90"
    r"|f95|for|go|gradle|groovy|h|hpp|hs|hxx|ini|ipynb|java|jl|js|json|jsonl|jsx|kt|less|lisp|lua"
    r"|m|mjs|mk|ml|mm|ndjson|nim|pas|php|pl|pm|proto|ps1|py|pyi|pyx|r|rb|rs|s|scala|scm|scss|sh|sql"
    r"|sv|svelte|svg|swift|tcl|toml|ts|tsv|tsx|v|vb|vhd|vhdl|vim|vue|xml|xsl|yaml|yml|zig|zsh)"
)
"""Endings of files that are read as code; all others are read as prose."""

_RECORDS = frozenset([".csv", ".json", ".jsonl", ".ndjson", ".tsv", ".xml"])
LEFT_OUT = "left_out.json"
"""Beside the copies of the user's files: which were no text, as a list of LeftOut."""

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
_PLACES = tuple(map(re.compile, (r"\n\s*\n", r"\n", r"[.!?]\s|[。！？｡।؟။]", r"\s")))
# What ends a run of letters in writing without spaces, beside white space: stops, dashes, and the
# invisible space between words of Thai or Khmer.
_BREAKS = re.compile(
    r"[\s\u060c\u061b\u061f\u06d4\u0964\u0965\u0f0b-\u0f0d\u104a\u104b\u1361-\u1368\u17d4\u17d5"
    r"\u200b\u2013-\u2015\u2026\u3000-\u303f\uff01-\uff0f\uff1a-\uff20\uff61-\uff64]+"
)
# First bytes of files that hold text in a wrapping, and how to get at it.
_WRAPPED = (
    (b"\x1f\x8b", "a compressed file: unpack it"),
    (b"BZh", "a compressed file: unpack it"),
    (b"\xfd7zXZ", "a compressed file: unpack it"),
    (b"(\xb5/\xfd", "a compressed file: unpack it"),
    (b"PK\x03\x04", "a zip file, as office documents and electronic books are: export it as text"),
    (b"%PDF-", "a PDF: export it as text"),
    (b"{\\rtf", "Rich Text: export it as text"),
)


@dataclass(frozen=True)
class LeftOut:
    """A file that is no text: its path as the user gave it, and its size."""

    name: str
    bytes: int


def decoded(content: bytes) -> str | None:
    """A file's text by its byte-order mark, or as UTF-8 without one; None where it is neither, or
    text in a wrapping, or holds the zero bytes of a file that is no text. Without byte-order marks,
    which also stand between files that were joined."""
    if _wrapping(content):
        return None
    try:
        text = content.decode(_encoding(content))
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text.replace("\ufeff", "")


def why_no_text(content: bytes) -> str:
    """Why `decoded` gave None, and the way out, for a message."""
    if wrapping := _wrapping(content):
        return wrapping
    encoding = _encoding(content)
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            return f"damaged {encoding.upper()} at byte {error.start}: export it as UTF-8"
        way_out = "convert it, for example by `iconv -f WINDOWS-1252 -t UTF-8`"
        return f"not UTF-8 at byte {error.start}: {way_out}"
    if 2 * len(content) < 5 * content.count(0) < 5 * len(content):
        way_out = "convert it, for example by `iconv -f UTF-16LE -t UTF-8`"
        return f"UTF-16 or UTF-32 without a byte-order mark: {way_out}"
    return "it holds zero bytes, as files that are no text do: take it out of corpus.files"


def _encoding(content: bytes) -> str:
    return next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")


def _wrapping(content: bytes) -> str:
    return next((what for first, what in _WRAPPED if content.startswith(first)), "")


def with_plain_line_ends(text: str) -> str:
    """Line ends of all systems as `\\n`."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def is_prose(name: str) -> bool:
    return not _CODE.fullmatch(_ending(name))


def holds_records(name: str) -> bool:
    """Whether a file is a table or list by its ending, whose marks would be learned as text."""
    return _ending(name) in _RECORDS


def _ending(name: str) -> str:
    return PurePath(name).suffix.lower()


def without_long_runs(text: str, most: int) -> str:
    """The text without lines that hold a longer run, such as an address or an embedded picture;
    the whole text where such lines are the half of it or more."""
    kept = "".join(line for line in text.splitlines(True) if longest_run(line) <= most)
    return kept if 2 * len(kept) > len(text) else text


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
