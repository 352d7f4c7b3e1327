"""What the runner refuses before it asks DVC for the stages."""

import os
from pathlib import Path

import pytest

from induction.errors import StudyError
from induction.runner.graph import stages_to_run


def link_to_nothing(own: Path) -> None:
    (own / ".#a.txt").symlink_to("me@host.1:2")  # as Emacs makes it


def old_name(own: Path) -> None:
    (own / os.fsdecode(b"caf\xe9.txt")).write_text("x")


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (link_to_nothing, r"^data/own/\.#a\.txt: a link to nothing: remove it"),
        (old_name, r"^data/own/caf\\udce9\.txt: its name is not UTF-8: rename it$"),
    ],
)
def test_what_dvc_cannot_read_of_the_users_files_is_one_line(tmp_path, harm, message):
    own = tmp_path / "data" / "own"
    own.mkdir(parents=True)
    harm(own)
    with pytest.raises(StudyError, match=message):
        stages_to_run(tmp_path)
