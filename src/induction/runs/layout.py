"""Which files make a run that can be compared, and where runs are kept."""

from collections.abc import Iterable
from pathlib import Path

from induction.files import MANIFEST
from induction.paths import StudyPaths

ABOUT = "run.json"
"""Beside `params.yaml` in a folder that holds a copy of a run: its name, commit and date."""


def published_folders(paths: StudyPaths) -> dict[str, Path]:
    """The folder of every published run by its name, in the order of names."""
    folders = (about.parent for about in paths.published_runs.glob(f"*/{ABOUT}"))
    return {folder.name: folder for folder in sorted(folders)}


def small_files(paths: StudyPaths, models: Iterable[str], stages: Iterable[str]) -> list[Path]:
    """Everything of a run but its per-token losses, weights and text: some 500 kB."""
    return [
        paths.params,
        paths.stages_lock,
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
        paths.tokens_meta,
        paths.tokens_manifest,
        *(paths.timing(stage) for stage in stages),
        *(paths.measurements(model) / MANIFEST for model in models),
    ]


def measured_files(paths: StudyPaths, model: str) -> list[Path]:
    """What `load_curves` reads and verifies: with the per-token losses, under a megabyte."""
    names = ("losses.npz", "heads.parquet", "circuits.parquet")
    return [paths.measurements(model) / name for name in names]
