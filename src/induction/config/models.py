"""The entries of params.yaml that are models: those trained here, and those of others."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from induction.config.types import (
    BatchTokens,
    Count,
    HubText,
    Natural,
    Positive,
    Revision,
    Section,
    Seed,
)

Clamp = Literal["none", "previous-token", "induction", "both", "forbidden"]
"""See induction.model.clamps."""

_EXPERIMENTS = (
    *("batch_tokens", "rate_factor", "trained_on", "clamp", "repeated_share", "repeated"),
)


class Model(Section):
    """One model of the zoo: how it differs from the others.

    smeared_values: a control for smeared keys, with values mixed instead. learning_rate: AdamW's,
    if not train.learning_rate. data_order: of the training windows: that of train.data_seed, the
    same back to front, or a random one of this seed's own.

    The rest are experiments beyond the paper, by the rules of reports/beyond.md. batch_tokens: if
    not train.batch_tokens. rate_factor: on all learning rates. trained_on: all targets, or those
    that the context does not let one copy, or as many at random. clamp: what heads are made to
    attend to. repeated_share: of the training windows at first, falling to zero in a straight line,
    that hold a segment twice; repeated: the second time as it is or in reverse.
    """

    n_layers: Annotated[int, Field(ge=1, le=1000)]
    attn_only: bool
    smeared_keys: bool = False
    smeared_values: bool = False
    optimizer: Literal["muon", "adamw"] = "muon"
    learning_rate: Positive | None = None
    data_order: Literal["shared", "reversed", "random"] = "shared"
    batch_tokens: BatchTokens | None = None
    rate_factor: Positive = 1.0
    trained_on: Literal["all", "uncopyable", "random"] = "all"
    clamp: Clamp = "none"
    repeated_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    repeated: Literal["same", "reversed"] = "same"
    tokens: Count
    seed: Seed

    @property
    def plain(self) -> bool:
        """Nothing is smeared, and it is no experiment beyond the paper: the architecture and the
        training that the paper's arguments are about."""
        return not (self.smeared_keys or self.smeared_values or self.experiment)

    @property
    def experiment(self) -> dict[str, object]:
        """What makes it an experiment beyond the paper: field → value; empty for all others."""
        values = {name: getattr(self, name) for name in _EXPERIMENTS}
        return {k: v for k, v in values.items() if v != Model.model_fields[k].default}


class ExternalModel(Section):
    """A model that others trained, with a snapshot for each of its revisions.

    source: a repository of a model hub (owner/name), or a local folder that holds a folder for each
    revision or is itself a model; with `file`, a GGUF file, the folder or the wheel
    (NAME==VERSION, pinned by its sha256) that it is in. revisions: name → training step; without
    any, the source is its only revision, `main`, at step 1. batch_tokens: tokens trained on in a
    step. n_layers must be the model's own. tokenizer: where it is, a folder, a file or a
    repository, if not beside the weights. start_token: the text of the token that stands in front
    of everything, if not the tokenizer's own. strict: whether a revision that cannot be read is
    refused, not left out. threads: as compute.threads, for this model alone. ablated_heads: which
    heads are taken out one at a time: all, or those of a kind and as many others. ablated_examples:
    on how many windows, if not ablation.examples.
    The other models of the study are told apart by what they are, so it says of itself what they
    do.
    """

    source: HubText
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None
    file: HubText | None = None
    revisions: dict[Revision, Natural] = Field(default_factory=dict, max_length=10**5)
    batch_tokens: Count
    n_layers: Annotated[int, Field(ge=1, le=1000)]
    device: Literal["cpu", "cuda"]
    dtype: Literal["float32", "bfloat16", "float16"]
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    tokenizer: HubText | None = None
    ablated_heads: Literal["all", "named"] = "all"
    ablated_examples: Count | None = None
    start_token: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    strict: bool = False

    @property
    def steps(self) -> dict[str, int]:
        """Name → training step of what is measured."""
        return self.revisions or {"main": 1}

    @property
    def attn_only(self) -> bool:
        return False

    @property
    def plain(self) -> bool:
        return True

    @property
    def smeared_keys(self) -> bool:
        return False
