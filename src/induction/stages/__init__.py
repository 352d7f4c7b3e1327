"""One thin command per DVC stage: read, call, write. Each runs without DVC too."""

import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from induction.config import StudyConfig, load_config
from induction.errors import ends_in_one_line
from induction.files import published_folder, write_json
from induction.paths import StudyPaths, find_study


def run_stage(
    name: str, stage: Callable[[StudyPaths, StudyConfig], None], *, timed: bool = True
) -> None:
    """Run a stage as a command: check the parameters, do the work, note what it took.

    The note is for runs that DVC records: by hand, a stage gives the same bits and changes nothing
    else. The report reads all notes, so it leaves none of its own (`timed` is false).

    What a user can mend ends the process with one line (see `ends_in_one_line`).
    """
    with ends_in_one_line(name):
        paths = find_study()
        config = load_config(paths.params)
        stage(paths, config)
        # From the start of the process on: to import takes seconds too.
        seconds = round(max(0.0, time.time() - psutil.Process().create_time()), 1)
        if timed and "DVC_STAGE" in os.environ:
            about = {"stage": name, "seconds": seconds, "peak_gib": _peak_gib()}
            write_json(paths.timing(name), about)


def leave_out(paths: StudyPaths, target: Path) -> None:
    """Publish an empty folder, where no rule asks: of an experiment beyond the paper."""
    with published_folder(target, paths.scratch):
        pass


def _peak_gib() -> float:
    """The most memory that this process held at once, in GiB; macOS counts in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2 ** (30 if sys.platform == "darwin" else 20), 2)


def model_argument() -> str:
    """The model's name, the one argument of the stages that run once per model.

    DVC calls a stage with its own name for it, train@MODEL (see dvc.yaml).
    """
    if len(sys.argv) != 2:
        sys.exit(
            f"usage: python -m {__spec__.parent}.STAGE MODEL, a name from models in params.yaml"
        )
    return sys.argv[1].partition("@")[2] or sys.argv[1]
