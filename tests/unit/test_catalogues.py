"""Parallel text: which pairs are kept, and that nothing in a catalogue can do harm."""

import zipfile
from pathlib import Path

import pytest
from refusals import ROOT, message_of

from induction.config import load_config
from induction.data.catalogues import catalogue_pairs, file_pairs
from induction.data.wheels import MAX_MEMBER_BYTES
from induction.errors import StudyError
from induction.paths import StudyPaths
from induction.stages.behave import parallel_text

HEADER = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=UTF-8\\n"\n\n'
FRENCH = "package/locale/fr/LC_MESSAGES/django.po"


def entry(source: str, target: str, flags: str = "") -> str:
    return f'{flags}msgid "{source}"\nmsgstr "{target}"\n\n'


def wheel(raw: Path, name: str = "a.whl", **members: bytes | str) -> Path:
    """A wheel with these members; __ in a name stands for what no argument can be called."""
    (raw / "wheels").mkdir(parents=True, exist_ok=True)
    path = raw / "wheels" / name
    with zipfile.ZipFile(path, "w") as archive:
        for key, content in members.items():
            archive.writestr({"french": FRENCH}.get(key, key), content)
    return path


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        (entry("Password", "Mot de passe"), [("Password", "Mot de passe")]),
        (entry("Next month", "Mois prochain"), [("Next month", "Mois prochain")]),
        (entry("Czech", "Tchèque"), [("Czech", "Tchèque")]),
        (entry("Arabic", "arabic"), []),  # not translated
        (entry("Page", ""), []),
        (entry("%(name)s found", "trouvé"), []),
        (entry("Enter 3 words", "Entrez"), []),
        (entry("a b c d", "e f g h"), []),  # too many words
        (entry("x" * 25, "y"), []),
        (entry("Draft", "Brouillon", flags="#, fuzzy\n"), []),
        ('#~ msgid "Old"\n#~ msgstr "Vieux"\n', []),
        (
            entry("Home", "Accueil") + 'msgctxt "b"\n' + entry("Home", "Maison"),
            [("Home", "Accueil")],
        ),
    ],
)
def test_short_translated_phrases_are_kept(written, kept, tmp_path):
    wheel(tmp_path, french=HEADER + written)
    assert catalogue_pairs(tmp_path, "fr") == kept


def test_pairs_come_from_catalogues_of_the_language_in_all_wheels(tmp_path):
    wheel(tmp_path, "b.whl", french=HEADER + entry("red", "rouge"))
    wheel(tmp_path, "a.whl", french=HEADER + entry("blue", "bleu"), **{"fr.po": entry("a", "b")})
    assert catalogue_pairs(tmp_path, "fr") == [("blue", "bleu"), ("red", "rouge")]
    assert catalogue_pairs(tmp_path, "de") == []
    assert catalogue_pairs(tmp_path / "nothing", "fr") == []


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe",
        b"msgid",
        b'msgid "a"\nmsgid "b"\n',
        b"not a catalogue",
        b"\x00" * 100,
        b'msgstr[7] "x"\n',
        b'msgid "a"\nmsgstr "' + b"x" * MAX_MEMBER_BYTES,
    ],
)
def test_a_catalogue_that_cannot_be_read_is_passed_over(content, tmp_path):
    wheel(tmp_path, french=content)
    assert catalogue_pairs(tmp_path, "fr") == []


def test_a_catalogue_is_never_taken_for_the_name_of_a_file(tmp_path):
    secret = tmp_path / "secret.po"
    secret.write_text(HEADER + entry("secret", "caché"))
    wheel(tmp_path, french=str(secret))
    assert catalogue_pairs(tmp_path, "fr") == []


def test_a_wheel_that_no_one_should_trust_is_refused(tmp_path):
    wheel(tmp_path, french=HEADER, **{"../evil.po": "x"})
    with pytest.raises(StudyError, match="lies outside the wheel"):
        catalogue_pairs(tmp_path, "fr")


def test_pairs_of_the_user_take_the_place_of_catalogues(tmp_path):
    paths = StudyPaths(tmp_path)
    own = tmp_path / "data" / "own" / "pairs.tsv"
    own.parent.mkdir(parents=True)
    own.write_text("red\trosso\n\nblue\tblu\nred\tanother\ntwo 2\tdue\n", encoding="utf-8")
    wheel(paths.raw, french=HEADER + entry("home", "accueil"))
    settings = load_config(ROOT / "params.yaml").behaviours
    assert parallel_text(paths, settings)[0] == [("home", "accueil")]
    mine = settings.model_copy(update={"translation_file": "data/own/pairs.tsv"})
    assert parallel_text(paths, mine)[0] == [("blue", "blu"), ("red", "rosso")]
    none = settings.model_copy(update={"translation_language": "xx"})
    pairs, why = parallel_text(paths, none)
    assert pairs == []
    assert why == "no catalogue of xx in data/raw, and no behaviours.translation_file"


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"red rosso\n", "line 1: expected a phrase, a tab and its translation"),
        (b"a\tb\na\tb\tc\n", "line 2: expected a phrase, a tab and its translation"),
        (b"\xff\t\xff", "not UTF-8: save it as UTF-8"),
        (None, "missing: put it there, or empty behaviours.translation_file"),
    ],
)
def test_a_bad_file_of_pairs_is_named(content, line, tmp_path):
    path = tmp_path / "pairs.tsv"
    if content is not None:
        path.write_bytes(content)
    assert message_of(lambda: file_pairs(path)) == f"{path}: {line}"
