"""What git tells of the repository around a study; nothing without git or a repository."""

import subprocess
from pathlib import Path


def git(root: Path, *arguments: str) -> str | None:
    """The output of a git command without the space around it; None where it fails."""
    shown = git_bytes(root, *arguments)
    return None if shown is None else shown.decode(errors="replace").strip()


def git_bytes(root: Path, *arguments: str) -> bytes | None:
    """The output of a git command as it is; None where it fails."""
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout
