"""One thin command per DVC stage: read, call, write. Each runs without DVC too."""

import os
import sys
import time
from collections.abc import Callable

from induction.config import StudyConfig, load_config
from induction.errors import StudyError
from induction.files import write_json
from induction.paths import StudyPaths, find_study


def run_stage(
    name: str, stage: Callable[[StudyPaths, StudyConfig], None], *, timed: bool = True
) -> None:
    """Run a stage as a command: check the parameters, do the work, note how long it took.

    The note is for runs that DVC records: by hand, a stage gives the same bits and changes nothing
    else. The report reads all notes, so it leaves none of its own (`timed` is false).

    A StudyError ends the process with one line on standard error and exit status 1; an interrupt
    with status 130.
    """
    try:
        paths = find_study()
        config = load_config(paths.params)
        start = time.perf_counter()
        stage(paths, config)
        seconds = round(time.perf_counter() - start, 1)
        if timed and "DVC_STAGE" in os.environ:
            write_json(paths.timing(name), {"stage": name, "seconds": seconds})
    except StudyError as error:
        sys.exit(f"{name}: {error}")
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        place = error.filename or "the disk"
        sys.exit(f"{name}: {place}: {os.strerror(error.errno) if error.errno else error}")


def model_argument() -> str:
    """The model's name, the one argument of the stages that run once per model."""
    if len(sys.argv) != 2:
        sys.exit(
            f"usage: python -m {__spec__.parent}.STAGE MODEL, a name from models in params.yaml"
        )
    return sys.argv[1]
