"""Where the report's numbers come from: commit, data, environment, renderer."""

import hashlib
import json
import os
import subprocess
import sys

from induction.environment import changes, environment, packages
from induction.files import read_json
from induction.git import git, git_bytes
from induction.report.results import Results
from induction.report.sentences import sentence
from induction.report.text import markdown_table, notice

# What a run writes is no change to what it was made from.
_INPUTS = (
    ".",
    ":(exclude)data",
    ":(exclude)dvc.lock",
    ":(exclude)reports/summary.svg",
    "data/prose_sources.txt",
    "data/sources.txt",
)


def commit(results: Results) -> tuple[str, bool]:
    """The commit that is checked out, and whether inputs (code, parameters) differ from it.

    ("unknown", True) outside a git repository or without git.
    """
    root = results.paths.root
    head = git(root, "rev-parse", "--short=12", "HEAD")
    if head is None:
        return "unknown", True
    changes = git(root, "status", "--porcelain", "--untracked-files=no", "--", *_INPUTS)
    return head, changes != ""


def commit_date(results: Results) -> str | None:
    """Day of the commit that is checked out (2026-01-31): the date that a report of it carries."""
    return git(results.paths.root, "log", "-1", "--format=%cs") or None


def written_in(results: Results, path: str) -> list[str]:
    """The commits that changed a file, the first one first; empty where git does not tell."""
    return (git(results.paths.root, "log", "--reverse", "--format=%h", "--", path) or "").split()


def stale_stages(results: Results) -> list[str]:
    """Stages whose outputs are not what the code, parameters and data at hand would give, such as
    after an interrupted study. The report itself does not count. Empty where DVC cannot tell.
    """
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "status", "--json"]
    try:
        status = json.loads(
            subprocess.run(
                command, cwd=results.paths.root, capture_output=True, text=True, check=True
            ).stdout
        )
    except (OSError, subprocess.CalledProcessError, json.JSONDecodeError):
        return []
    return sorted(stage for stage in status if stage != "report")


def banner(results: Results) -> str:
    """A warning for the top of the report when it is not what a reader would cite, else nothing."""
    head, changed = commit(results)
    named = results.config.name
    values = {
        "changed": changed,
        "other_parameters": "" if named == "laptop" else named,
        "stale": stale_stages(results),
    }
    if not any(values.values()):
        return ""
    title = "Preliminary" if changed or values["stale"] else "Other parameters"
    return notice(title, [sentence("provenance", "banner", head=head, **values)])


def table(results: Results) -> str:
    """Commit, parameters, data, environment then and now, renderer."""
    head, changed = commit(results)
    made = results.environment
    now = made | environment(results.paths.lock)  # a report needs no GPU, so it tells of none
    rows = [
        ("commit", f"`{head}`" + (" with uncommitted changes" if changed else "")),
        ("parameters", f"`params.yaml`, named `{results.config.name}`: @sec-parameters"),
        ("text", f"{len(results.corpus.sources)} sources, SHA-256 each in `data/tokens/meta.json`"),
        *_token_digests(results),
        ("device", sentence("provenance", "device", compute=results.config.compute)),
        ("measured with", sentence("provenance", "environment", made=made)),
        ("rendered with", os.environ.get("INDUCTION_RENDERER", "Quarto")),
    ]
    if made != now:
        rows.append(("drift", _drift(results, made, now)))
    return markdown_table(("what", "value"), "ll", rows)


def reproducibility(results: Results) -> str:
    """What a reader who runs the study again can expect, with the measured tolerance."""
    if not results.paths.portability.is_file():
        return sentence("provenance", "reproducibility", found=None, moved={})
    found = read_json(results.paths.portability)
    again = found["again"]  # the onset is told by its distance, as one of the two may lack it
    moved = {k: abs(again[k] - v) for k, v in found["study"].items() if k != "onset_tokens"}
    return sentence("provenance", "reproducibility", found=found, moved=moved)


def _token_digests(results: Results) -> list[tuple[str, str]]:
    """SHA-256 of the tokenizer and the token streams, from the manifest that they came with."""
    files = read_json(results.paths.tokens_manifest)["files"]
    return [
        (f"`{file['name']}`", f"SHA-256 `{file['sha256']}`")
        for file in files
        if file["name"] != "meta.json"
    ]


def _drift(results: Results, made: dict[str, str], now: dict[str, str]) -> str:
    """How the environment differs from the one of the measurements, package by package where the
    lock of that time is in the history."""
    before, differ = _lock_of_that_time(results, made["requirements_lock_sha256"]), None
    if before is not None:
        after = results.paths.lock.read_text(encoding="utf-8")
        differ = changes(packages(before), packages(after))
    return sentence("provenance", "drift", now=now, packages=differ)


def _lock_of_that_time(results: Results, digest: str) -> str | None:
    """The committed requirements.lock with this SHA-256, or None."""
    root, name = results.paths.root, results.paths.lock.name
    for revision in (git(root, "log", "--format=%H", "--", name) or "").split():
        # Bytes: the digest covers the last line break.
        text = git_bytes(root, "show", f"{revision}:{name}")
        if text is not None and hashlib.sha256(text).hexdigest() == digest:
            return text.decode()
    return None
