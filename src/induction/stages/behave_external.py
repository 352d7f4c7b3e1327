"""Stage behave-external@MODEL: as behave@MODEL, for the revisions of a model of others."""

from induction.behave.material import Material, drawable_tokens
from induction.config import StudyConfig
from induction.external.evaluation import encode_within, token_texts, tokens_in_text
from induction.external.opened import open_external
from induction.model.weights import evenly_picked
from induction.paths import StudyPaths
from induction.stages import model_argument, run_stage
from induction.stages.behave import behave_all, parallel_text


def main(paths: StudyPaths, config: StudyConfig, name: str) -> None:
    opened = open_external(paths, config, name)
    picked = evenly_picked(opened.snapshots, config.behaviours.snapshots)
    opened.announce(picked)
    tokenizer = opened.tokenizer
    ranked = tokens_in_text(paths.tokens, tokenizer, opened.start_token.id)
    pairs, why_no_pairs = parallel_text(paths, config.behaviours)

    def material() -> Material:
        return Material(
            encode=lambda text: encode_within(tokenizer, text),
            texts=token_texts(tokenizer),
            start=opened.start_token.id,
            drawable=drawable_tokens(ranked, config.evaluation.probe_vocab_quantiles),
            windows=opened.evaluation.tokens[:, 1:].numpy(),
            embedding=opened.load(picked[-1]).W_E.float().cpu().numpy(),
            pairs=pairs,
            why_no_pairs=why_no_pairs,
            n_ctx=min(opened.longest, config.model.n_ctx),
        )

    behave_all(paths, config, "behave-external", name, picked, opened.load, material)


if __name__ == "__main__":
    model = model_argument()
    run_stage(f"behave-external@{model}", lambda paths, config: main(paths, config, model))
