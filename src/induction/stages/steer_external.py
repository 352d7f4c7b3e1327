"""Stage steer-external@MODEL: as steer@MODEL, for the last revision of a model of others."""

from induction.behave.material import Material
from induction.config import StudyConfig
from induction.external.evaluation import encode_within, tokens_in_text
from induction.external.opened import open_external
from induction.paths import StudyPaths
from induction.stages import model_argument, run_stage
from induction.stages.steer import steer_last, task_material


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    opened = open_external(paths, config, name)
    last = opened.snapshots[-1]
    opened.announce([last])

    def material() -> Material:
        return task_material(
            config,
            lambda text: encode_within(opened.tokenizer, text),
            opened.start_token.id,
            tokens_in_text(paths.tokens, opened.tokenizer, opened.start_token.id),
            opened.evaluation.tokens[:, 1:].numpy(),
            min(opened.longest, config.model.n_ctx),
        )

    steer_last(
        *(paths, config, "steer-external", name, last),
        *(opened.load, opened.evaluation, material),
    )


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"steer-external@{model}", lambda paths, config: main(paths, config, model))
