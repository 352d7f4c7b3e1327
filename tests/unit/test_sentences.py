"""Templates of sentences: found from any folder, filled on one line, refused with wrong values."""

import pytest
from jinja2 import DictLoader

from induction.errors import StudyError
from induction.report import sentences
from induction.report.sentences import sentence

MADE = """
{% macro told(shares, sure) %}
Of the fall
{% for name, share in shares.items() %}
{{ [name] | names }} holds {{ share | percent }}
{{ "" if loop.last else ";" }}
{% endfor %}
{% if sure %}
, surely
{% endif %}
.
{% endmacro %}
"""


@pytest.fixture
def made(monkeypatch):
    """One template in place of the report's."""
    monkeypatch.setattr(sentences._environment(), "loader", DictLoader({"made.md.j2": MADE}))


def test_lines_of_a_template_become_one_line_and_values_stay_as_they_are(made):
    told = sentence("made", "told", shares={"a  ; b": 0.5, "c": 0.25}, sure=True)
    assert told == "Of the fall `a  ; b` holds 50\u00a0%; `c` holds 25\u00a0%, surely."


@pytest.mark.parametrize(
    ("part", "name", "values", "told"),
    [
        ("none", "told", {}, "none.md.j2"),
        ("made", "asked", {}, "asked"),
        ("made", "told", {"shares": {}}, "'sure' was not provided"),
        ("made", "told", {"shares": {}, "sure": True, "other": 1}, "'other'"),
    ],
)
def test_what_is_not_there_is_named(made, part, name, values, told):
    with pytest.raises(StudyError, match=f"{part}.md.j2: {name}: .*{told}"):
        sentence(part, name, **values)


def test_templates_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert sentence("findings", "argument_5", held=1, heads=2).startswith("1 of 2 induction heads")
