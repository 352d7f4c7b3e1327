"""The one error that users meet: what is wrong, where, and the way out, in one line."""

import re

NO_MEMORY = "not enough memory: lower the sizes in params.yaml"
_LONGEST = 600
_NO_MEMORY = re.compile("can't allocate memory|out of memory")  # as PyTorch says it


class StudyError(Exception):
    """Bad input or a missing precondition, as one line meant for the person at the terminal.

    The message names the place (file, key), what is wrong there, and what would be valid.
    Entry points print it to standard error and exit with status 1, without a traceback
    (see `induction.stages.run_stage`).
    """

    def __init__(self, message: str):
        super().__init__(one_line(message))


def tells_of_no_memory(text: str) -> bool:
    """Whether that is how PyTorch says that memory ran out, a GPU's or another."""
    return _NO_MEMORY.search(text) is not None


def one_line(text: str) -> str:
    """Text as one line that is safe to print: bad input stands in messages, whatever it holds.

    Line breaks, control characters and the spaces around them become one space; the middle of a
    very long text is left out.
    """
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]} … {text[-_LONGEST // 2 :]}"
    shown = "".join(letter if letter.isprintable() else "\n" for letter in text)
    return re.sub(r" *\n[\n ]*", " ", shown).strip()
