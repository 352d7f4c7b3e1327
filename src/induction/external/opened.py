"""An external model as the stages go through it: its moments of training, and what loads them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from induction.config import ExternalModel, StudyConfig, external_config
from induction.errors import StudyError
from induction.evaluation.evaluation_set import EvaluationSet
from induction.external.adapter import AdaptedModel
from induction.external.configuration import load_config, spec_of
from induction.external.evaluation import external_evaluation, load_own_tokenizer
from induction.external.gguf_files import about_weights
from induction.external.reading import Reading, StartToken
from induction.external.revisions import CONFIG, Found, load_revisions
from induction.external.start_token import find_start_token
from induction.external.store import Store, make_store
from induction.external.tensors import TensorNotes, find_shared
from induction.external.weights import load_model
from induction.files import verify_folder
from induction.model.compute import set_up_torch
from induction.model.weights import Snapshot
from induction.paths import StudyPaths


@dataclass(frozen=True)
class Opened:
    """snapshots: a moment for each revision. load: that revision, ready to be measured.
    announce: says how much the given ones have still to download. tokenizer: the model's own, with
    start_token in front of every text. longest: how many tokens the model can read at once.
    found, store, notes: what was pinned, where it is, and the tensors that were loaded of it."""

    snapshots: list[Snapshot]
    load: Callable[[Snapshot], AdaptedModel]
    announce: Callable[[list[Snapshot]], None]
    evaluation: EvaluationSet
    tokenizer: Tokenizer
    start_token: StartToken
    longest: int
    found: Found
    store: Store
    notes: TensorNotes


def describe(source: str, opened: Opened) -> Reading:
    """What is to be said of a model whose revisions were all loaded."""
    digests = {each.name: opened.notes.of(opened.store, each) for each in opened.found.revisions}
    return Reading(
        source,
        about_weights(opened.store.folder),
        str(opened.found.tokenizer),
        opened.start_token,
        opened.found.left_out,
        find_shared(digests),
    )


def open_external(paths: StudyPaths, config: StudyConfig, name: str) -> Opened:
    """Get ready to go through the pinned revisions of a model.

    Raises StudyError when something is missing, damaged, or does not go together.
    """
    entry = external_config(config, name)
    device = _device(config, name, entry)
    verify_folder(paths.external(name))
    found = load_revisions(paths.external(name))
    revisions = {revision.step: revision for revision in found.revisions}
    store = make_store(paths, config, name)
    notes = TensorNotes(paths.scratch / "tensors" / f"{name}.json")
    with store.files_of(found.revisions[0], [CONFIG]) as first:
        model_config = load_config(first)
    with store.tokenizer(paths.checkout, found.tokenizer) as path:
        tokenizer = load_own_tokenizer(path)
        try:
            start_token = find_start_token(path, model_config, entry.start_token)
        except StudyError as error:
            raise StudyError(f"external.{name}: {error}") from None
    print(
        f"{name}: {found.tokenizer}; in front of every text: {start_token.text} ({start_token.why})"
    )
    longest = model_config.max_position_embeddings
    evaluation = external_evaluation(
        *(paths.tokens, tokenizer, start_token.id, longest),
        *(config.model.n_ctx, config.evaluation),
    )
    needed = max(each.shape[1] for each in (evaluation.tokens, evaluation.probes.tokens)) - 1
    largest = max(int(tokens.max()) for tokens in (evaluation.tokens, evaluation.probes.tokens))
    if largest >= model_config.vocab_size:
        raise StudyError(
            f"{found.tokenizer}: token {largest} in a model of {model_config.vocab_size} tokens: "
            "not its tokenizer: name the right one in the key tokenizer"
        )

    def load(snapshot: Snapshot) -> AdaptedModel:
        revision = revisions[snapshot.step]
        with store.files_of(revision) as folder:
            model = load_model(folder, entry, device)
            notes.add(revision, folder)
        if model.spec != spec_of(model_config):
            raise StudyError(
                f"external.{name}: revision {revision.name} has other sizes than the first"
            )
        if model.longest < needed:
            raise StudyError(
                f"external.{name}: revision {revision.name} takes {model.longest} tokens, but "
                f"{needed} are put to it: leave it out, or lower model.n_ctx"
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
        found=found,
        store=store,
        notes=notes,
    )


def _device(config: StudyConfig, name: str, entry: ExternalModel) -> torch.device:
    if entry.device == "cuda" and not torch.cuda.is_available():
        raise StudyError(
            f"params.yaml: external.{name}.device: cuda, but torch sees no GPU here: set it to cpu"
        )
    own = {"device": entry.device, "threads": entry.threads or config.compute.threads}
    return set_up_torch(config.compute.model_copy(update=own))
