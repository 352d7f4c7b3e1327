"""Parallel text: short phrases with their translations, from message catalogues or the user's file.

A pair is kept when both sides are one to three words of letters alone, at most 24 characters, and
differ in more than case: placeholders, numbers, markup and what was left as it is are not
translated. Catalogues are `.po` files of the wheels in data/raw, of one language each.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

import polib

from induction.data.wheels import MAX_MEMBER_BYTES, wheel_members
from induction.errors import StudyError

Pair = tuple[str, str]

_LONGEST = 24
_PHRASE = re.compile(r"[^\W\d_]+(?:[ '-][^\W\d_]+){0,2}")


def catalogue_pairs(raw: Path, language: str) -> list[Pair]:
    """Pairs of English and `language` from the catalogues of all wheels, in order of the sources.

    A source that is translated in several ways counts with its first translation. A catalogue that
    is too large, not UTF-8 or not readable is passed over, as such a file of code is. Raises
    StudyError as `wheel_members` does.
    """
    pairs: dict[str, str] = {}
    for path in sorted(raw.glob("wheels/*.whl")):
        for _, content in wheel_members(path, lambda name: _is_catalogue(name, language)):
            for source, target in _kept(_entries(content)):
                pairs.setdefault(source, target)
    return sorted(pairs.items())


def file_pairs(path: Path) -> list[Pair]:
    """Pairs of the user's own file: a source, a tab and its translation on each line.

    Raises StudyError for a file that is missing, not UTF-8, or has a line without just one tab.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise StudyError(
            f"{path}: missing: put it there, or empty behaviours.translation_file"
        ) from None
    except UnicodeDecodeError:
        raise StudyError(f"{path}: not UTF-8: save it as UTF-8") from None
    pairs: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if line.strip():
            source, tab, target = line.partition("\t")
            if not tab or "\t" in target:
                raise StudyError(
                    f"{path}: line {number}: expected a phrase, a tab and its translation"
                )
            for kept in _kept([(source.strip(), target.strip())]):
                pairs.setdefault(*kept)
    return sorted(pairs.items())


def _is_catalogue(name: str, language: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix == ".po" and path.parts[-3:-1] == (language, "LC_MESSAGES")


def _entries(content: bytes) -> Iterator[Pair]:
    """Messages with a whole translation; none from a catalogue that cannot be read."""
    if len(content) > MAX_MEMBER_BYTES:
        return
    try:
        # The line keeps polib from taking a text without line breaks for the name of a file.
        catalogue = polib.pofile("#\n" + content.decode("utf-8-sig"), encoding="utf-8")
    except (ValueError, OSError, IndexError, KeyError, AttributeError):
        return
    for entry in catalogue:
        if entry.translated() and not entry.obsolete:
            yield entry.msgid, entry.msgstr


def _kept(entries: Iterable[Pair]) -> Iterator[Pair]:
    for source, target in entries:
        short = max(len(source), len(target)) <= _LONGEST
        phrases = _PHRASE.fullmatch(source) and _PHRASE.fullmatch(target)
        if short and phrases and source.casefold() != target.casefold():
            yield source, target
