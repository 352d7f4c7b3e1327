"""Stage steer-external@MODEL: as steer@MODEL, for the last revision of a model of others."""

from induction.behave.their_material import their_material
from induction.config import StudyConfig
from induction.external.opened import open_external
from induction.paths import StudyPaths
from induction.stages import model_argument, run_stage
from induction.stages.steer import steer_last


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    opened = open_external(paths, config, name)
    last = opened.snapshots[-1]
    opened.announce([last])
    steer_last(
        *(paths, config, "steer-external", name, last, opened.load, opened.evaluation),
        lambda: their_material(paths, config, opened, last),
    )


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"steer-external@{model}", lambda paths, config: main(paths, config, model))
