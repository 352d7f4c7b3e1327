"""Stage fetch: listed wheels, datasets and the user's own files, as they are, into data/raw."""

import shutil

from induction.config import StudyConfig
from induction.data.fetch import (
    bring_files,
    copy_own_files,
    copy_wheels,
    fetch_wheels,
    read_requirements,
)
from induction.data.hub import FOLDER, fetch_dataset, link_shards
from induction.files import published_folder
from induction.paths import StudyPaths
from induction.stages import run_stage


def main(paths: StudyPaths, config: StudyConfig) -> None:
    if paths.checkout != paths.root:
        # In DVC's copy of the checkout: so that it watches them, and other stages find them.
        bring_files(StudyPaths(paths.checkout).own, paths.own)
    with published_folder(paths.raw, paths.scratch) as raw:
        if config.corpus.files:
            copy_own_files(config.corpus.files, paths.checkout, raw / "files")
        if config.corpus.wheels:
            # DVC empties data/raw before it runs a stage, so what was fetched is kept elsewhere.
            cache = paths.scratch / "wheels"
            for cut_off in cache.glob("download-*"):  # the lock on data/raw makes them ours
                shutil.rmtree(cut_off)
            listed = read_requirements(*paths.wheel_lists(prose=config.corpus.prose))
            copy_wheels(fetch_wheels(listed, cache), raw / "wheels")
        for name, settings in config.corpus.datasets.items():
            shards = fetch_dataset(name, settings, paths.checkout, paths.scratch / "datasets")
            link_shards(shards, raw / FOLDER / name)


if __name__ == "__main__":
    run_stage("fetch", main)
