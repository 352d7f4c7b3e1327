"""Where the report's numbers come from: commit, data, environment, renderer."""

import os
import subprocess

from induction.environment import environment
from induction.report.results import Results
from induction.report.text import markdown_table

# What a run writes is no change to what it was made from.
_INPUTS = (
    ".",
    ":(exclude)data",
    ":(exclude)dvc.lock",
    ":(exclude)reports/summary.svg",
    "data/sources.txt",
)


def commit(results: Results) -> tuple[str, bool]:
    """The commit that is checked out, and whether inputs (code, parameters) differ from it.

    ("unknown", True) outside a git repository or without git.
    """
    try:
        head = _git(results, "rev-parse", "--short=12", "HEAD")
        return head, bool(
            _git(results, "status", "--porcelain", "--untracked-files=no", "--", *_INPUTS)
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown", True


def banner(results: Results) -> str:
    """A warning for the top of the report when it is not what a reader would cite, else nothing."""
    reasons = []
    head, changed = commit(results)
    if changed:
        reasons.append(f"made from a state that is not committed (on top of `{head}`)")
    if results.config.name != "laptop":
        reasons.append(f"made with the parameters `{results.config.name}`, not the default study")
    if not reasons:
        return ""
    return (
        f"::: {{.callout-warning}}\n## Preliminary\nThis report was {', and '.join(reasons)}.\n:::"
    )


def table(results: Results) -> str:
    """Commit, parameters, data, environment then and now, renderer."""
    head, changed = commit(results)
    made, now = results.environment, environment(results.paths.lock)
    rows = [
        ("commit", f"`{head}`" + (" with uncommitted changes" if changed else "")),
        ("parameters", f"`params.yaml`, named `{results.config.name}`"),
        ("text", f"{len(results.corpus.sources)} sources, SHA-256 each in `data/tokens/meta.json`"),
        ("device", f"{results.config.compute.device}, {results.config.compute.threads} thread(s)"),
        ("measured with", _describe(made)),
        ("rendered with", os.environ.get("INDUCTION_RENDERER", "Quarto")),
    ]
    if made != now:
        rows.append(("drift", f"the environment has changed since: now {_describe(now)}"))
    return markdown_table(("what", "value"), "ll", rows)


def _describe(made: dict[str, str]) -> str:
    return (
        f"Python {made['python']}, torch {made['torch']}, {made['system']} {made['machine']} "
        f"({made['cpu_capability']}), lock `{made['requirements_lock_sha256'][:12]}`"
    )


def _git(results: Results, *arguments: str) -> str:
    return subprocess.run(
        ["git", "-C", str(results.paths.root), *arguments],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
