"""The one error that users meet, and how a command ends: what is wrong, where, and the way out."""

import os
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager

NO_MEMORY = "not enough memory: lower the sizes in params.yaml"
_LONGEST = 600
_NO_MEMORY = re.compile("can't allocate memory|out of memory")  # as PyTorch says it
# As libraries in Rust say it, in exceptions of their own.
_SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")


class StudyError(Exception):
    """Bad input or a missing precondition, as one line meant for the person at the terminal.

    The message names the place (file, key), what is wrong there, and what would be valid.
    Commands print it to standard error and exit with status 1, without a traceback
    (see `ends_in_one_line`).
    """

    def __init__(self, message: str):
        super().__init__(one_line(message))


@contextmanager
def ends_in_one_line(command: str) -> Iterator[None]:
    """The block of a command: what a user can mend ends the process with one line, without a trace.

    That is a StudyError, a file or disk that cannot be used, and too little memory: exit status 1
    and the line on standard error; an interrupt: status 130.
    """
    try:
        yield
    except StudyError as error:
        sys.exit(one_line(f"{command}: {error}"))
    except KeyboardInterrupt:
        print(f"{command}: interrupted", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        problem = os.strerror(error.errno) if error.errno else error
        sys.exit(one_line(f"{command}: {error.filename or 'the disk'}: {problem}"))
    except sqlite3.Error as error:  # DVC keeps its notes in such databases
        notes = "DVC's notes (.dvc/tmp, `dvc config core.site_cache_dir`)"
        sys.exit(one_line(f"{command}: {notes}: {error}"))
    except Exception as error:
        if problem := _SYSTEM_ERROR.search(str(error)):
            sys.exit(f"{command}: the disk: {os.strerror(int(problem[1]))}")
        if isinstance(error, MemoryError) or tells_of_no_memory(str(error)):
            sys.exit(f"{command}: {NO_MEMORY}")
        raise


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
