"""Stage measure-external@MODEL: as measure@MODEL, for the revisions of a model of others."""

from induction.config import StudyConfig
from induction.external.opened import describe, open_external
from induction.external.reading import Reading
from induction.files import write_record
from induction.paths import StudyPaths
from induction.stages import model_argument, run_stage
from induction.stages.measure import measure_all


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    opened = open_external(paths, config, name)
    opened.announce(opened.snapshots)
    for each in opened.found.left_out:
        print(f"{name}: {each.name}: left out: {each.reason}")
    measure_all(
        *(paths, "measure-external", name, opened.snapshots, opened.load, opened.evaluation),
        config.head_kinds.prefix_matching,
    )
    about = describe(config.external[name].source, opened)
    if about.weights:
        print(f"{name}: {about.weights}")
    for shared in about.shared:
        print(f"{name}: {shared}")
    write_record(paths.reading(name), Reading, about)


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"measure-external@{model}", lambda paths, config: main(paths, config, model))
