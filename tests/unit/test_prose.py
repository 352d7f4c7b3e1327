"""Prose of packages: what a study of prose takes from their wheels."""

import zipfile

import pytest

from induction.data.documents import collect_documents
from induction.data.prose import may_hold_prose, prose

LONG = "Words that explain what this part of the package is there for, and when to use it."
MODULE = f'''"""{LONG}

    >>> shown_at_the_prompt()
    1

And why one would want to.
"""

import os

text = """{LONG} This is no docstring."""


class Thing:
    """A thing. {LONG}"""

    async def wait(self):
        r"""Waits for \\w. {LONG}

        More of it:

            An indented line.
        """
        return 1  # {LONG}


def short():
    """Too short."""
'''


def test_docstrings_come_in_their_order_without_code_and_prompts():
    found = prose("a/b.py", MODULE)
    places = [found.index(part) for part in ("And why", "A thing.", "Waits for \\w.")]
    assert places == sorted(places)
    assert "\n    An indented line." in found
    for left_out in ("import os", "no docstring", "return 1", "shown_at_the_prompt", "Too short"):
        assert left_out not in found


@pytest.mark.parametrize("text", ["def broken(:", "a = '\x00'", "(" * 5000])
def test_python_that_cannot_be_parsed_has_no_prose(text):
    assert prose("a.py", text) == ""


def test_documentation_is_taken_as_it_is():
    assert prose("a/README.rst", LONG) == LONG


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("a/b.py", True),
        ("a/guide.MD", True),
        ("a/words.txt", False),
        ("a/b.json", False),
        ("a-1.0.dist-info/licenses/LICENSE.md", False),
        ("a-1.0.data/scripts/b.py", False),
    ],
)
def test_members_that_may_hold_prose(name, taken):
    assert may_hold_prose(name) == taken


def test_a_study_of_prose_takes_prose_from_wheels_and_own_files_as_they_are(tmp_path):
    (tmp_path / "wheels").mkdir()
    (tmp_path / "files").mkdir()
    with zipfile.ZipFile(tmp_path / "wheels" / "a-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("a/b.py", MODULE)
        wheel.writestr("a/guide.md", f"# Guide\n\n{LONG} " * 20)
    (tmp_path / "files" / "000000-own.py").write_text(own := f"{MODULE}# mine\n")
    texts = {d.source: d.text for d in collect_documents(tmp_path, 10, 300).documents}
    assert texts["wheels/a-1.0-py3-none-any.whl"] == MODULE
    found = collect_documents(tmp_path, 10, 300, of_prose=True).documents
    assert [d.name for d in found] == ["", "a/b.py", "a/guide.md"]
    code, docstrings, guide = (d.text for d in found)
    assert code == own
    assert docstrings == prose("a/b.py", MODULE)
    assert guide.startswith("# Guide")
