"""Stage behave-external@MODEL: as behave@MODEL, for the revisions of a model of others."""

from induction.behave.their_material import their_material
from induction.config import StudyConfig
from induction.external.opened import open_external
from induction.model.weights import evenly_picked
from induction.paths import StudyPaths
from induction.stages import model_argument, run_stage
from induction.stages.behave import behave_all


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    opened = open_external(paths, config, name)
    picked = evenly_picked(opened.snapshots, config.behaviours.snapshots)
    opened.announce(picked)
    behave_all(
        *(paths, config, "behave-external", name, picked, opened.load),
        lambda: their_material(paths, config, opened, picked[-1]),
    )


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"behave-external@{model}", lambda paths, config: main(paths, config, model))
