"""Text, machine and packages of two runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from induction.environment import Change, changes
from induction.runs.run import Run

_ENVIRONMENT = {
    "python": "Python",
    "torch": "torch",
    "system": "system",
    "machine": "machine",
    "processor": "processor",
    "cpu_capability": "vector instructions of the processor",
    "products": "matrix products",
}


@dataclass(frozen=True)
class Fact:
    """One thing that a run was made from, in words; None where a run does not say.

    of_text: it describes the text, not the environment.
    """

    name: str
    a: str | None
    b: str | None
    of_text: bool = False

    @property
    def differs(self) -> bool | None:
        """None: not known, since one of the runs does not say."""
        return None if self.a is None or self.b is None else self.a != self.b


def facts(a: Run, b: Run) -> list[Fact]:
    """Text and environment of both runs, the same in both or not."""
    text = zip(_text(a.corpus).items(), _text(b.corpus).values(), strict=True)
    found = [Fact(name, in_a, in_b, of_text=True) for (name, in_a), in_b in text]
    found += [
        Fact(label, _environment(a, key), _environment(b, key))
        for key, label in _ENVIRONMENT.items()
    ]
    gpu_a, gpu_b = (_environment(run, "gpu") for run in (a, b))
    if gpu_a or gpu_b:  # only runs on one name it
        found.append(Fact("GPU", gpu_a or "none", gpu_b or "none"))
    lock_a, lock_b = (_environment(run, "requirements_lock_sha256") for run in (a, b))
    found.append(
        Fact("SHA-256 of requirements.lock", lock_a and lock_a[:12], lock_b and lock_b[:12])
    )
    return found


def source_changes(a: Run, b: Run) -> list[Change]:
    """Sources of text that were added, removed or that differ, with the start of their SHA-256."""
    return changes(_sources(a), _sources(b)) if a.corpus and b.corpus else []


def package_changes(a: Run, b: Run) -> list[Change]:
    """Packages of requirements.lock that differ, by name."""
    return changes(a.packages, b.packages) if a.packages and b.packages else []


def _sources(run: Run) -> dict[str, str]:
    return {s["name"]: s["sha256"][:12] for s in (run.corpus or {}).get("sources", [])}


def _text(corpus: Mapping[str, Any] | None) -> dict[str, str | None]:
    """What data/tokens/meta.json says of the text, in words."""
    counts = {
        "documents for training": "train_documents",
        "documents for validation": "valid_documents",
        "characters for training": "train_characters",
        "characters for validation": "valid_characters",
        "tokens for training": "train_tokens",
        "tokens for validation": "valid_tokens",
        "entries of the vocabulary": "d_vocab",
    }
    if corpus is None:
        return dict.fromkeys(("sources", *counts))
    sources = corpus.get("sources", [])
    found: dict[str, str | None] = {"sources": str(len(sources))}
    for name, key in counts.items():
        value = corpus.get(key)
        found[name] = None if value is None else f"{value:,}"
    return found


def _environment(run: Run, key: str) -> str | None:
    """A value of the manifests; models that were measured elsewhere may have another."""
    values = {made[key] for made in run.environments.values() if made.get(key)}
    return " and ".join(sorted(values)) or None
