"""Tensors that revisions of a model have in common, which training would have changed."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open

from induction.external.reading import Shared
from induction.external.revisions import Revision
from induction.external.store import Store
from induction.external.weights import CONSTANTS
from induction.files import read_json, write_json

_SMALLEST = 256  # numbers; fewer may be equal by chance of their kind, as scales of norms are


class TensorNotes:
    """The digests of all revisions that were loaded, kept in a file: weights may be gone."""

    def __init__(self, path: Path):
        self._path = path
        self._known: dict[str, dict[str, str]] = read_json(path) if path.is_file() else {}

    def add(self, revision: Revision, folder: Path) -> dict[str, str]:
        """Note a revision's tensors, whose files lie in the folder; those noted are not read."""
        if (key := _key(revision)) not in self._known:
            self._known[key] = tensor_digests([folder / name for name in revision.weights])
            write_json(self._path, self._known)
        return self._known[key]

    def of(self, store: Store, revision: Revision) -> dict[str, str]:
        """A revision's tensors, by name; read now if they were not noted."""
        if known := self._known.get(_key(revision)):
            return known
        with store.files_of(revision) as folder:
            return self.add(revision, folder)


def _key(revision: Revision) -> str:
    pinned = sorted((name, file.size, file.sha256) for name, file in revision.files.items())
    return hashlib.sha256(repr((revision.commit, pinned)).encode()).hexdigest()


def tensor_digests(files: list[Path]) -> dict[str, str]:
    """Name → digest of the tensors of a model that training changes.

    These are matrices of some size: no vectors, no constants, no masks or frequencies.
    """
    found = {}
    for path in files:
        with safe_open(path, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - no dictionary
                value = tensors.get_tensor(name)
                if value.ndim < 2 or value.numel() < _SMALLEST or name.endswith(CONSTANTS):
                    continue
                if bool((value == value.flatten()[0]).all()):
                    continue
                content = value.contiguous().view(torch.uint8).numpy()
                found[name] = hashlib.sha256(content.data).hexdigest()
    return found


def find_shared(digests: Mapping[str, Mapping[str, str]]) -> list[Shared]:
    """digests: revision → tensor → digest. What revisions share, those that share most first."""
    holders: dict[tuple[str, str], list[str]] = {}
    for revision, tensors in digests.items():
        for tensor, digest in tensors.items():
            holders.setdefault((tensor, digest), []).append(revision)
    groups: dict[tuple[str, ...], list[str]] = {}
    for (tensor, _), revisions in holders.items():
        if len(revisions) > 1:
            groups.setdefault(tuple(revisions), []).append(tensor)
    found = [
        Shared(list(r), sorted(t, key=_embeddings_first), len(digests[r[0]]))
        for r, t in groups.items()
    ]
    return sorted(found, key=lambda shared: -len(shared.tensors))


def _embeddings_first(name: str) -> tuple[bool, str]:
    return not any(part in name for part in ("emb", "wte")), name
