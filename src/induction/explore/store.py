"""data/explorer on disk: `passages.json`, and for each model `MODEL.npz`."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from induction.errors import StudyError
from induction.explore.passages import Passage
from induction.files import read_json, verify_folder, write_json

PASSAGES = "passages.json"


@dataclass(frozen=True)
class OnPassages:
    """One model on the passages, over its snapshots in order of training.

    tokens: [snapshots], tokens trained. losses: [snapshots, passages, length − 1], in nats; column
    i is the loss of token i + 1. picked: [picked], the snapshots whose patterns are kept.
    patterns: uint8 [picked, passages, layers, heads, triangle], 255 × the attention, rounded; the
    last axis is the lower triangle, row by row.
    """

    tokens: np.ndarray
    losses: np.ndarray
    picked: np.ndarray
    patterns: np.ndarray

    def attention(self, picked: int, passage: int, layer: int, head: int) -> np.ndarray:
        """One head's pattern as shares, [length query, length key]."""
        length = self.losses.shape[2] + 1
        square = np.zeros((length, length))
        square[np.tril_indices(length)] = self.patterns[picked, passage, layer, head] / 255
        return square


@dataclass(frozen=True)
class Explored:
    """All that the explorer shows; models in the order asked for."""

    passages: list[Passage]
    models: dict[str, OnPassages]


def save_passages(folder: Path, passages: list[Passage]) -> None:
    write_json(folder / PASSAGES, [asdict(passage) for passage in passages])


def save_model(folder: Path, name: str, found: OnPassages) -> None:
    np.savez(folder / f"{name}.npz", allow_pickle=False, **vars(found))


def load_explored(folder: Path, models: Iterable[str]) -> Explored:
    """Read and verify the folder. StudyError names what is missing or damaged."""
    verify_folder(folder)
    try:
        passages = [
            Passage(tuple(found["ids"]), tuple(found["texts"]), found["repeats"])
            for found in read_json(folder / PASSAGES)
        ]
        return Explored(passages, {name: _load_model(folder, name) for name in models})
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise StudyError(f"{folder}: not what this study's models do: {error}") from None


def _load_model(folder: Path, name: str) -> OnPassages:
    with np.load(folder / f"{name}.npz") as arrays:
        return OnPassages(**{key: arrays[key] for key in arrays.files})
