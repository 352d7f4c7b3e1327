"""Losses of one way to cut a text into tokens, as losses of another: so models with tokens of
their own compare with the study's, index by index."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Grid:
    """Where the tokens that a model reads and the study's own stand in the text of each example.

    Positions count bytes from the window's first byte. starts: for each example, where its text
    starts: 0, or before it where the window's first byte is inside a character. ends: for each
    example, where each of its predicted tokens ends, ascending; tokens that are parts of one
    character all end where it does. edges: [examples, n_ctx + 1], where the study's predicted
    tokens start and, last, where they end.
    """

    starts: tuple[int, ...]
    ends: tuple[np.ndarray, ...]
    edges: np.ndarray

    def collect(self, losses: np.ndarray, first: int) -> np.ndarray:
        """[B, tokens read − 1] → [B, n_ctx], both in nats, of examples first … first + B.

        A token's loss is spread evenly over its bytes and summed over those of each of the study's
        tokens, so that the sum over a text stays what it is. What a model reads after the text's
        end does not count.
        """
        return np.stack([self._one(row, first + i) for i, row in enumerate(losses)])

    def _one(self, losses: np.ndarray, example: int) -> np.ndarray:
        ends = self.ends[example]
        total = np.cumsum(losses[: len(ends)], dtype=np.float64)
        whole = np.append(ends[1:] > ends[:-1], True)
        places = np.concatenate([[self.starts[example]], ends[whole]])
        sums = np.concatenate([[0.0], total[whole]])
        return np.diff(np.interp(self.edges[example], places, sums)).astype(np.float32)

    def first(self, count: int) -> "Grid":
        """The grid of the first examples."""
        return Grid(self.starts[:count], self.ends[:count], self.edges[:count])
