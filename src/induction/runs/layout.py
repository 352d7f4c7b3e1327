"""Which files make a run that can be compared, and where runs are kept."""

from collections.abc import Iterable
from pathlib import Path

from induction.files import MANIFEST
from induction.paths import StudyPaths

ABOUT = "run.json"
"""Beside `params.yaml` in a folder that holds a copy of a run: its name, commit and date."""


def stages_lock(paths: StudyPaths) -> Path:
    """What DVC recorded of the last run: hashes and parameters of every stage."""
    return paths.root / "dvc.lock"


def published_runs(paths: StudyPaths) -> Path:
    """Small results that are kept in git, a folder for each run."""
    return paths.root / "data" / "published"


def published_folders(paths: StudyPaths) -> dict[str, Path]:
    """The folder of every published run by its name, in the order of names."""
    folders = (about.parent for about in published_runs(paths).glob(f"*/{ABOUT}"))
    return {folder.name: folder for folder in sorted(folders)}


def copies(paths: StudyPaths) -> Path:
    """Where runs are laid out side by side to be compared."""
    return paths.scratch / "compare"


def tokens_manifest(paths: StudyPaths) -> Path:
    return paths.tokens / MANIFEST


def tokens_meta(paths: StudyPaths) -> Path:
    return paths.tokens / "meta.json"


def small_files(paths: StudyPaths, models: Iterable[str], stages: Iterable[str]) -> list[Path]:
    """Everything of a run but its per-token losses, weights and text: some 500 kB."""
    return [
        paths.params,
        stages_lock(paths),
        paths.lock,
        paths.metrics,
        paths.details,
        paths.verdicts,
        paths.seeds,
        paths.beyond,
        paths.steering_curves,
        paths.curves,
        paths.pca,
        paths.pca_scores,
        paths.pca_basis,
        tokens_meta(paths),
        tokens_manifest(paths),
        *(paths.timing(stage) for stage in stages),
        *(paths.measurements(model) / MANIFEST for model in models),
    ]


def measured_files(paths: StudyPaths, model: str) -> list[Path]:
    """What `load_curves` reads and verifies: with the per-token losses, under a megabyte."""
    names = ("losses.npz", "heads.parquet", "circuits.parquet")
    return [paths.measurements(model) / name for name in names]
