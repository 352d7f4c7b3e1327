"""How far a model's way through the space of per-token losses turns at its phase change.

The way is smoothed by the local straight-line fit of the onset rule and cut, over ln(tokens), into
stretches as long as the band, one of which is the band itself. The direction of travel in a stretch
is the way from its start to its end; the turn at a cut is the angle between the directions before
and after it. So a way that pivots anywhere in the band turns at the two ends of the band, and one
that leaves its direction for the time of the band turns there twice. The other cuts say how much it
turns elsewhere, in as much time.

The null: the same steps in another order. The steps between snapshots are shuffled and the way is
walked again from the same start; a straight way, or one that bends evenly, turns as much at the
band, compared with elsewhere, as shuffled ones do, and one that pivots at the band turns more.

The paper sees its trajectories turn during the phase change, without a measure (Argument 1).
"""

from dataclasses import dataclass

import numpy as np

from induction.rules.phase_change import make_smoother


@dataclass(frozen=True)
class TrajectoryAngle:
    """The turn at a band and elsewhere, in degrees.

    inside: sum of the turns at both ends of the band (at its start alone, when training ends with
    it). outside: the mean of the turns at the cuts elsewhere, for as many cuts. width: that of the
    band and every stretch, in e-folds of tokens. null_percentile: of the shuffled ways, how many in
    a hundred have a smaller inside / (inside + outside), ties counted half.
    """

    inside: float
    outside: float
    width: float
    null_percentile: float


def find_trajectory_angle(
    tokens: np.ndarray,
    path: np.ndarray,
    band_tokens: tuple[float, float],
    min_tokens: int,
    bandwidth: float,
    shuffles: int,
    seed: int,
) -> TrajectoryAngle | None:
    """Measure the turn of one model.

    tokens: [snapshots], ascending. path: [snapshots, 2 or more], of which the first two columns
    count. Snapshots before min_tokens are not looked at. bandwidth in e-folds of tokens.
    Returns None when there is nothing to compare: no cut at the band or none elsewhere, or fewer
    than two components.
    """
    seen = tokens >= min_tokens
    first, last = np.log(band_tokens)
    width = float(last - first)
    if seen.sum() < 4 or path.shape[1] < 2 or width <= 0:
        return None
    tokens, path = tokens[seen], path[seen, :2]
    ends = _ends(np.log(tokens[0]), np.log(tokens[-1]), first, width)
    cuts = ends[1:-1]
    at_band = np.isclose(cuts, first) | np.isclose(cuts, last)
    if not at_band.any() or at_band.all():
        return None

    level = make_smoother(tokens, bandwidth, np.exp(ends)).level
    turns = _turns(level @ path)
    share = _share(turns, at_band)
    random, steps = np.random.default_rng(seed), np.diff(path, axis=0)
    null = np.empty(shuffles)
    for k in range(shuffles):
        way = np.vstack([path[:1], path[0] + random.permutation(steps).cumsum(axis=0)])
        null[k] = _share(_turns(level @ way), at_band)
    return TrajectoryAngle(
        inside=float(turns[at_band].sum()),
        outside=float(turns[~at_band].mean() * at_band.sum()),
        width=width,
        null_percentile=float(((null < share) + 0.5 * (null == share)).sum() * 100 / shuffles),
    )


def _ends(start: float, stop: float, first: float, width: float) -> np.ndarray:
    """Ends of whole stretches of a width between start and stop, of which one is at `first`."""
    slack = 1e-9 * width
    before = int((first - start + slack) // width)
    after = int((stop - first + slack) // width)
    return np.clip(first + width * np.arange(-before, after + 1), start, stop)


def _turns(points: np.ndarray) -> np.ndarray:
    """Angle at each inner point of a polyline [points, 2], in degrees: [points - 2]."""
    direction = np.diff(points, axis=0)
    before, after = direction[:-1], direction[1:]
    across = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    return np.degrees(np.abs(np.arctan2(across, (before * after).sum(axis=1))))


def _share(turns: np.ndarray, at_band: np.ndarray) -> float:
    inside, outside = turns[at_band].mean(), turns[~at_band].mean()
    return float(inside / (inside + outside)) if inside + outside > 0 else 0.5
