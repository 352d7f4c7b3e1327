"""Windows that hold a segment twice (Sabry & Belz 2025, arXiv 2509.22947, "Bi-Induct").

In a share of the training windows a segment is written again right behind it, after a separator,
or, as a control, written again in reverse. The share falls to zero in a straight line.
"""

from dataclasses import dataclass

import numpy as np

from induction.data.tokens import START_TOKEN

SEGMENT = 20
"""Tokens that stand twice, as in the paper."""


@dataclass(frozen=True)
class Repeats:
    """share: of the windows at the first step. steps: of the whole training. seed: of the windows
    and places, which do not depend on share and direction but for how many there are."""

    share: float
    in_reverse: bool
    steps: int
    seed: int

    def write(self, tokens_BT: np.ndarray, step: int, first: int, batch_size: int) -> np.ndarray:
        """Windows [B, T + 1] with the segments of a step (from 0) written into some of them.

        first: where these windows begin in the step's batch of `batch_size`.
        """
        random = np.random.default_rng((self.seed, step))
        chance = random.random(batch_size)
        places = random.integers(SEGMENT, tokens_BT.shape[1] - SEGMENT, size=batch_size)
        written = tokens_BT.copy()
        for row, window in enumerate(written):
            if chance[first + row] < self.share * (1 - step / self.steps):
                place = places[first + row]
                segment = window[place - SEGMENT : place].copy()
                window[place] = START_TOKEN
                window[place + 1 : place + 1 + SEGMENT] = (
                    segment[::-1] if self.in_reverse else segment
                )
        return written
