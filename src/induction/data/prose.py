"""English prose in Python packages: docstrings and documentation files.

Docstrings are those that Python's own parser finds, of a module, its classes and its functions, in
the order in which they stand, indentation removed. What is written for a machine is left out:
paragraphs that are examples at the interactive prompt, and docstrings of a line or two.
"""

import ast
import inspect
import re
import warnings
from collections.abc import Iterator
from pathlib import PurePosixPath

_DOCUMENTS = frozenset([".md", ".markdown", ".rst"])
_SHORTEST = 80  # characters of a docstring: shorter ones repeat a name in other words
_PARAGRAPHS = re.compile(r"\n\s*\n")
_PROMPT = re.compile(r"\s*(>>>|\$ |In \[\d+\]:)")
_DEFINITIONS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def may_hold_prose(name: str) -> bool:
    """Whether a wheel's member is Python or a documentation file; not what pip needs to install."""
    path = PurePosixPath(name)
    about = any(part.endswith((".dist-info", ".data")) for part in path.parts)
    return not about and path.suffix.lower() in _DOCUMENTS | {".py"}


def prose(name: str, text: str) -> str:
    """The prose in a member of a wheel; empty for Python that cannot be parsed."""
    if PurePosixPath(name).suffix.lower() != ".py":
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a package's escapes, which are not the user's
            module = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    return "\n\n".join(filter(None, map(_without_examples, _docstrings(module)))) + "\n"


def _docstrings(module: ast.Module) -> Iterator[str]:
    found = (
        (getattr(node, "lineno", 0), ast.get_docstring(node, clean=False))
        for node in ast.walk(module)
        if isinstance(node, _DEFINITIONS)
    )
    for _, docstring in sorted((line, text) for line, text in found if text):
        yield inspect.cleandoc(docstring)


def _without_examples(docstring: str) -> str:
    kept = [part for part in _PARAGRAPHS.split(docstring) if not _PROMPT.match(part)]
    text = "\n\n".join(kept).strip()
    return text if len(text) >= _SHORTEST else ""
