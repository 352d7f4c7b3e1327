"""Sentences whose words depend on numbers: templates in reports/text, filled with named values.

A file holds the sentences of one part of a page, each as a macro whose arguments are its values.
What decides between two wordings is such a value too: Python computes, templates word.
"""

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError

from induction.errors import StudyError
from induction.paths import StudyPaths
from induction.report import text

Values = Mapping[str, object]
# Beside the code, not around the working directory: pages are rendered from other folders too.
TEMPLATES = StudyPaths(Path(__file__).resolve().parents[3]).report_text
FILTERS = (
    *(text.code, text.listed, text.names, text.number),
    *(text.onsets, text.percent, text.quantity, text.short_tokens),
)


def sentence(part: str, name: str, /, **values: object) -> str:
    """A sentence of reports/text/PART.md.j2 with these values, as Markdown on one line. A line of
    the template that begins with one of , ; : . ) follows without a space.

    Raises StudyError where there is no such sentence, or where its values are not these.
    """
    try:
        filled = getattr(_environment().get_template(f"{part}.md.j2").module, name)(**values)
    except (AttributeError, TemplateError, TypeError) as error:
        raise StudyError(f"reports/text/{part}.md.j2: {name}: {error}") from error
    return re.sub(r" *\n[ \n]*([,;:.)]?)", lambda found: found[1] or " ", filled).strip()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {each.__name__: each for each in FILTERS}
    return environment
