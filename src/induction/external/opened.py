"""An external model as the stages go through it: its moments of training, and what loads them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer

from induction.config import ExternalModel, StudyConfig, external_config
from induction.errors import StudyError
from induction.external.adapter import AdaptedModel
from induction.external.configuration import load_config, spec_of
from induction.external.evaluation import external_evaluation, load_own_tokenizer
from induction.external.revisions import SMALL_FILES, load_revisions
from induction.external.store import make_store
from induction.external.weights import load_model
from induction.files import verify_folder
from induction.measure.evaluation import Evaluation
from induction.model.compute import set_up_torch
from induction.model.weights import Snapshot
from induction.paths import StudyPaths


@dataclass(frozen=True)
class Opened:
    """snapshots: a moment for each revision. load: that revision, ready to be measured.
    announce: says how much the given ones have still to download. tokenizer: the model's own, with
    start_token in front of every text. longest: how many tokens the model can read at once."""

    snapshots: list[Snapshot]
    load: Callable[[Snapshot], AdaptedModel]
    announce: Callable[[list[Snapshot]], None]
    evaluation: Evaluation
    tokenizer: Tokenizer
    start_token: int
    longest: int


def open_external(paths: StudyPaths, config: StudyConfig, name: str) -> Opened:
    """Get ready to go through the pinned revisions of a model.

    Raises StudyError when something is missing, damaged, or does not go together.
    """
    entry = external_config(config, name)
    device = _device(config, name, entry)
    verify_folder(paths.external(name))
    revisions = {revision.step: revision for revision in load_revisions(paths.external(name))}
    store = make_store(paths, config, name)
    with store.files_of(next(iter(revisions.values())), SMALL_FILES) as first:
        model_config = load_config(first)
        tokenizer = load_own_tokenizer(first / "tokenizer.json")
    start_token, longest = _start_token(model_config, first), model_config.max_position_embeddings
    evaluation = external_evaluation(
        *(paths.tokens, tokenizer, start_token, longest),
        *(config.model.n_ctx, config.evaluation),
    )
    largest = max(int(tokens.max()) for tokens in (evaluation.tokens, evaluation.probes.tokens))
    if largest >= model_config.vocab_size:
        raise StudyError(
            f"{first / 'tokenizer.json'}: token {largest} in a model of {model_config.vocab_size}"
        )

    def load(snapshot: Snapshot) -> AdaptedModel:
        revision = revisions[snapshot.step]
        with store.files_of(revision) as folder:
            model = load_model(folder, entry, device)
        if model.spec != spec_of(model_config):
            raise StudyError(
                f"external.{name}: revision {revision.name} has other sizes than the first"
            )
        return model

    return Opened(
        snapshots=[
            Snapshot(step, step * entry.batch_tokens, Path(revision.name))
            for step, revision in revisions.items()
        ],
        load=load,
        announce=lambda snapshots: store.announce([revisions[each.step] for each in snapshots]),
        evaluation=evaluation,
        tokenizer=tokenizer,
        start_token=start_token,
        longest=longest,
    )


def _start_token(config: Any, folder: Path) -> int:
    """What stands before every text: the model's token for a beginning, else for an end."""
    for token in (config.bos_token_id, config.eos_token_id):
        if isinstance(token, list):
            token = token[0]
        if token is not None:
            return int(token)
    raise StudyError(f"{folder / 'config.json'}: names no token for the start or end of a text")


def _device(config: StudyConfig, name: str, entry: ExternalModel) -> torch.device:
    if entry.device == "cuda" and not torch.cuda.is_available():
        raise StudyError(
            f"params.yaml: external.{name}.device: cuda, but torch sees no GPU here: set it to cpu"
        )
    return set_up_torch(config.compute.model_copy(update={"device": entry.device}))
