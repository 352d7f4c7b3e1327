"""Stage ablate-external@MODEL: as ablate@MODEL, for the revisions of a model of others."""

from induction.config import StudyConfig
from induction.external.opened import open_external
from induction.model.weights import evenly_picked
from induction.paths import StudyPaths
from induction.stages import model_argument, run_stage
from induction.stages.ablate import ablate_all


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    opened = open_external(paths, config, name)
    picked = evenly_picked(opened.snapshots, config.ablation.snapshots)
    opened.announce(picked)
    ablate_all(paths, config, "ablate-external", name, picked, opened.load, opened.evaluation)


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"ablate-external@{model}", lambda paths, config: main(paths, config, model))
