"""How a model of others was read, as it stands beside its measurements and in the report."""

from dataclasses import dataclass

from induction.external.gguf_files import about_weights
from induction.external.opened import Opened
from induction.external.revisions import LeftOut
from induction.external.start_token import StartToken
from induction.external.tensors import Shared, find_shared


@dataclass(frozen=True)
class Reading:
    """source, tokenizer: where they are. weights: what they were before they were converted; empty
    where they were not. left_out: revisions that are not measured. shared: what
    revisions have in common that training would have changed."""

    source: str
    weights: str
    tokenizer: str
    start_token: StartToken
    left_out: list[LeftOut]
    shared: list[Shared]


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
