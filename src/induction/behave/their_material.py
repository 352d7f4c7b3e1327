"""What tasks are made from for a model of others.

Apart from `material`, so that the stages of the study's own models run no code for others.
"""

from induction.behave.material import Material, drawable_tokens
from induction.config import StudyConfig
from induction.external.evaluation import encode_within, token_texts, tokens_in_text
from induction.external.opened import Opened
from induction.model.weights import Snapshot
from induction.paths import StudyPaths


def their_material(
    paths: StudyPaths, config: StudyConfig, opened: Opened, last: Snapshot
) -> Material:
    """As `our_material`; drawable are the model's tokens that stand in the validation text."""
    tokenizer, start = opened.tokenizer, opened.start_token.id
    ranked = tokens_in_text(paths.tokens, tokenizer, start)
    return Material(
        encode=lambda text: encode_within(tokenizer, text),
        texts=token_texts(tokenizer),
        start=start,
        drawable=drawable_tokens(ranked, config.evaluation.probe_vocab_quantiles),
        windows=opened.evaluation.tokens[:, 1:].numpy(),
        embedding=lambda: opened.load(last).W_E.float().cpu().numpy(),
        n_ctx=min(opened.longest, config.model.n_ctx),
    )
