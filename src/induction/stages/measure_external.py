"""Stage measure-external@MODEL: as measure@MODEL, for the revisions of a model of others."""

from induction.config import StudyConfig
from induction.external.opened import open_external
from induction.paths import StudyPaths
from induction.stages import model_argument, run_stage
from induction.stages.measure import measure_all


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    opened = open_external(paths, config, name)
    opened.announce(opened.snapshots)
    measure_all(paths, "measure-external", name, opened.snapshots, opened.load, opened.evaluation)


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"measure-external@{model}", lambda paths, config: main(paths, config, model))
