"""Stage revisions@MODEL: which files stand for each revision of an external model."""

from dataclasses import asdict

from induction.config import StudyConfig, external_config
from induction.errors import StudyError
from induction.external.configuration import load_config, spec_of
from induction.external.gguf_files import local_entry
from induction.external.revisions import CONFIG, find_revisions, save_revisions
from induction.external.store import make_store
from induction.files import published_folder
from induction.paths import StudyPaths
from induction.stages import model_argument, run_stage


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    entry = local_entry(paths, name, external_config(config, name))
    try:
        pinned = find_revisions(paths.checkout, entry)
    except StudyError as error:
        raise StudyError(f"external.{name}: {error}") from None
    for each in pinned.left_out:
        print(f"{name}: {each.name}: left out: {each.reason}")
    print(f"{name}: {len(pinned.revisions)} revisions; {pinned.tokenizer}")
    with make_store(paths, config, name).files_of(pinned.revisions[0], [CONFIG]) as first:
        found = load_config(first)
    spec = spec_of(found)
    if spec.n_layers != entry.n_layers:
        raise StudyError(
            f"params.yaml: external.{name}.n_layers: {entry.n_layers}, but the model has "
            f"{spec.n_layers}"
        )
    with published_folder(paths.external(name), paths.scratch) as folder:
        save_revisions(folder, {"family": found.model_type, **asdict(spec)}, pinned)


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"revisions@{model}", lambda paths, config: main(paths, config, model))
