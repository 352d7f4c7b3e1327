"""The per-token losses of both runs in one space of components."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl

from induction.errors import StudyError
from induction.files import read_json
from induction.files.tables import read_arrays, read_table
from induction.rules.curves import Curves, load_curves
from induction.runs.run import Run
from induction.study.pca import fit_loss_space

How = Literal["joint", "projected into A", "projected into B", "the same basis"]
WhyNot = Literal["unknown tokens of A", "unknown tokens of B", "other tokens", "no losses"]
PathThrough = pl.DataFrame
"""A row for each snapshot: tokens, pc1, pc2; in order of training."""
Basis = dict[str, np.ndarray]
"""mean [entries] and components [components, entries]; empty where a run has none."""
_OF_BASIS = ("mean", "components")


@dataclass(frozen=True)
class CommonSpace:
    """Trajectories of both runs in two components.

    how: whether the components were fitted on both runs or are those of one. shares: of the
    variance that each of the two explains, of the snapshots that they were fitted on.
    a, b: paths by model, from the first snapshot that takes part in the fit.
    alike: models whose losses are the same in both.
    """

    how: How
    shares: tuple[float, float]
    a: dict[str, PathThrough]
    b: dict[str, PathThrough]
    alike: frozenset[str]


def common_space(a: Run, b: Run) -> CommonSpace | WhyNot:
    """The space, or why there is none."""
    if a.evaluation_tokens is None:
        return "unknown tokens of A"
    if b.evaluation_tokens is None:
        return "unknown tokens of B"
    if a.evaluation_tokens != b.evaluation_tokens:
        return "other tokens"
    losses_a, losses_b = _losses(a), _losses(b)
    if losses_a and losses_b:
        return _joint(losses_a, losses_b, max(a.min_tokens, b.min_tokens))
    basis_a, basis_b = _basis(a), _basis(b)
    if losses_b and basis_a:
        paths_a, paths_b = _stored(a), _projected(losses_b, basis_a, b.min_tokens)
        how = "projected into A"
    elif losses_a and basis_b:
        paths_a, paths_b = _projected(losses_a, basis_b, a.min_tokens), _stored(b)
        how = "projected into B"
    elif basis_a and basis_b and _same_basis(basis_a, basis_b):
        paths_a, paths_b = _stored(a), _stored(b)
        how = "the same basis"
    else:
        return "no losses"
    shares = _shares(b if how == "projected into B" else a)
    return CommonSpace(how, shares, paths_a, paths_b, _alike(paths_a, paths_b))


def _losses(run: Run) -> dict[str, Curves]:
    """Measurements of all models of a run; none unless all are there and whole."""
    try:
        return {name: load_curves(run.paths, name) for name in run.entries}
    except StudyError:
        return {}


def _basis(run: Run) -> Basis:
    """The components of a run, empty unless its own scores are there too."""
    paths = run.paths
    if not all(path.is_file() for path in (paths.pca_basis, paths.pca_scores, paths.pca)):
        return {}
    arrays = read_arrays(paths.pca_basis, _OF_BASIS)
    return {name: arrays[name] for name in _OF_BASIS}


def _joint(a: dict[str, Curves], b: dict[str, Curves], min_tokens: int) -> CommonSpace:
    """One fit. A model that is the same in both runs takes part in it once."""
    alike = frozenset(
        name for name in a if name in b and np.array_equal(a[name].per_token, b[name].per_token)
    )
    every = {("A", name): curves for name, curves in a.items()}
    every |= {("B", name): curves for name, curves in b.items() if name not in alike}
    space = fit_loss_space(
        {f"{run} {name}": curves for (run, name), curves in every.items()}, 2, min_tokens
    )
    paths = {key: _path(space.scores, f"{key[0]} {key[1]}") for key in every}
    shares = space.explained_variance
    return CommonSpace(
        "joint",
        (float(shares[0]), float(shares[1])),
        {name: paths["A", name] for name in a},
        {name: paths["A" if name in alike else "B", name] for name in b},
        alike,
    )


def _projected(losses: dict[str, Curves], basis: Basis, min_tokens: int) -> dict[str, PathThrough]:
    paths = {}
    for name, curves in losses.items():
        scores = (curves.per_token - basis["mean"]) @ basis["components"][:2].T
        path = pl.DataFrame({"tokens": curves.tokens, "pc1": scores[:, 0], "pc2": scores[:, 1]})
        paths[name] = path.filter(pl.col("tokens") >= min_tokens)
    return paths


def _stored(run: Run) -> dict[str, PathThrough]:
    scores = read_table(run.paths.pca_scores, ("model", "tokens", "fitted", "pc1", "pc2"))
    return {name: _path(scores, name) for name in scores["model"].unique(maintain_order=True)}


def _path(scores: pl.DataFrame, model: str) -> PathThrough:
    own = scores.filter((pl.col("model") == model) & pl.col("fitted"))
    return own.select("tokens", "pc1", "pc2")


def _shares(run: Run) -> tuple[float, float]:
    first, second, *_ = read_json(run.paths.pca)["explained_variance"]
    return first, second


def _alike(a: Mapping[str, PathThrough], b: Mapping[str, PathThrough]) -> frozenset[str]:
    """Models with the same path in both, up to the rounding of a stored basis."""
    return frozenset(name for name in a if name in b and _close(a[name], b[name]))


def _close(one: PathThrough, other: PathThrough) -> bool:
    return one.shape == other.shape and np.allclose(one, other, rtol=1e-3, atol=1e-3)


def _same_basis(one: Basis, other: Basis) -> bool:
    return all(
        one[key].shape == other[key].shape and np.allclose(one[key], other[key], atol=1e-5)
        for key in one
    )
