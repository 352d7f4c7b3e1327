"""The sections of params.yaml: types and ranges of every key, each for itself."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from induction.config.models import ExternalModel, Model
from induction.config.types import (
    BatchTokens,
    Count,
    Glob,
    HubText,
    Many,
    ModelName,
    Natural,
    Positive,
    Section,
    Seed,
    Share,
    Size,
    Title,
    Window,
)

# Names of stages in dvc.yaml without the model, and what stands for all that have no entry.
RESOURCE_GROUPS = (
    *("default", "fetch", "prepare", "train", "measure", "ablate", "ngrams", "llc", "pca"),
    *("summarize", "explore"),
    *("report", "measure-external", "ablate-external", "revisions", "behave", "behave-external"),
    *("steer", "steer-external"),
)


class Compute(Section):
    device: Literal["cpu", "cuda"]
    threads: Annotated[int, Field(ge=1, le=1024)]
    dtype: Literal["float32", "bfloat16"]
    processes: Annotated[int, Field(ge=1, le=1024)]
    compile: bool


class Dataset(Section):
    """Text of a dataset hub, or of a local folder that the package datasets can read.

    source: owner/name on the hub, or the folder, relative to the parameter file. config: one of the
    dataset's own, if it has several. revision: a commit or tag; null for a folder. text: the
    column that holds it. characters: the first so many are taken, in whole documents.
    """

    source: HubText
    config: HubText | None
    revision: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z][\w.-]{0,99}$")] | None
    split: HubText
    text: HubText
    characters: Count


class Resources(Section):
    """What a stage asks of the node of a cluster that it runs on; no result depends on it.

    gpus: a whole number, or the share of one GPU that several stages use together. memory_gib: of
    main memory, in GiB; where it is left out, the cluster's scheduler does not count memory.
    """

    cpus: Annotated[int, Field(ge=1, le=1024)]
    gpus: Annotated[float, Field(ge=0, le=1024)]
    memory_gib: Positive | None = None

    @property
    def memory(self) -> int | None:
        """The same in bytes."""
        return int(self.memory_gib * 2**30) if self.memory_gib else None


class Corpus(Section):
    """prose: take the docstrings and documentation of the wheels, and more wheels for it, in place
    of their code."""

    wheels: bool
    prose: bool = False
    files: Annotated[tuple[Glob, ...], Field(max_length=1000)]
    datasets: Annotated[dict[ModelName, Dataset], Field(max_length=1000)]
    min_characters: Count
    max_line_length: Count
    validation_fraction: Share
    seed: Seed


class Tokenizer(Section):
    d_vocab: Annotated[int, Field(ge=300, le=65536)]


class ModelShape(Section):
    """What all models of the zoo share; names as in TransformerLens."""

    n_ctx: Annotated[int, Field(ge=8, le=2**16)]
    d_model: Annotated[int, Field(ge=2, le=2**16)]
    n_heads: Size
    d_mlp: Size
    position_base: Annotated[float, Field(gt=1, le=1e15)]


class Train(Section):
    batch_tokens: BatchTokens
    embedding_std: Positive
    warmup_steps: Natural
    learning_rate: Positive
    muon_learning_rate: Positive
    muon_momentum: Share
    adam_betas: tuple[Share, Share]
    weight_decay: Annotated[float, Field(ge=0, le=1e15)]
    data_seed: Seed
    repeat_data: bool


class Snapshots(Section):
    count: Annotated[int, Field(ge=2, le=10**5)]
    linear_until: Count


class Evaluation(Section):
    examples: Many
    tokens_per_example: Count
    early: Window
    late: Window
    pattern_examples: Count
    probe_sequences: Many
    probe_repeats: Annotated[int, Field(ge=2)]
    probe_period: Window
    probe_vocab_quantiles: tuple[float, float]
    seed: Seed


class HeadKinds(Section):
    """Scores from which a head counts as one of a kind."""

    prefix_matching: Share
    total_copying: Share
    previous_token: Share


class Ablation(Section):
    snapshots: Count
    examples: Count
    random_draws: Many
    other_sets: Annotated[int, Field(ge=0, le=10_000)] = 0
    resamples: Many
    seed: Seed


class IclWindows(Section):
    early: Annotated[tuple[Window, ...], Field(min_length=1, max_length=1000)]
    late: Annotated[tuple[Window, ...], Field(min_length=1, max_length=1000)]


class Pca(Section):
    components: Annotated[int, Field(ge=2, le=1000)]
    shuffles: Many
    top_loading_tokens: Annotated[int, Field(ge=1, le=1000)]
    context_tokens: Annotated[int, Field(ge=1, le=1000)]
    seed: Seed


class LossMaps(Section):
    index_bandwidth: Positive
    points: Annotated[int, Field(ge=2, le=2000)]


class Explorer(Section):
    passages: Annotated[int, Field(ge=1, le=1000)]
    tokens: Annotated[int, Field(ge=2, le=1000)]
    snapshots: Annotated[int, Field(ge=2, le=1000)]


class Behaviours(Section):
    snapshots: Count
    examples: Annotated[int, Field(ge=2, le=10**5)]
    segment: Annotated[int, Field(ge=10, le=1000)]  # so many tokens to choose from
    gap: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1, le=1000)]]
    lines: Annotated[int, Field(ge=5, le=1000)]
    shots: Annotated[tuple[Annotated[int, Field(ge=0, le=19)], ...], Field(min_length=1)]
    phrases: Annotated[int, Field(ge=3, le=1000)]
    random_draws: Many
    translation_language: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]{2,12}$")]
    translation_file: Annotated[
        str, StringConstraints(pattern=r"^(data/own/[^\x00-\x1f\x7f]{1,200})?$")
    ]
    seed: Seed


class Steering(Section):
    """Scales of head outputs, 0 to take heads out and 1 to leave them, and what is measured."""

    scales: Annotated[
        tuple[Annotated[float, Field(ge=0, le=100)], ...], Field(min_length=3, max_length=100)
    ]
    random_draws: Many
    windows: Annotated[int, Field(ge=2, le=10**6)]
    prompts: Annotated[int, Field(ge=2, le=1000)]
    prompt_tokens: Annotated[int, Field(ge=1, le=2**16)]
    new_tokens: Annotated[int, Field(ge=4, le=2**16)]  # a 4-gram is the least that can repeat
    seed: Seed


class Llc(Section):
    """The local learning coefficient, by sampling around snapshots.

    models: the names of those that are sampled. n_beta, gamma, epsilon: nβ, γ and ε of
    induction.llc.sgld. batch: windows a step.
    """

    models: tuple[ModelName, ...]
    snapshots: Many
    chains: Annotated[int, Field(ge=2, le=1000)]
    burn_in: Annotated[int, Field(ge=0, le=10**6)]
    draws: Many
    batch: Many
    n_beta: Positive
    gamma: Positive
    epsilon: Positive
    seed: Seed


class PhaseChange(Section):
    bandwidth: Positive
    min_slope: Positive
    band_fraction: Share
    min_drop: Positive
    min_share: Share = 0.5
    min_signal: Positive = 3.4
    min_tokens: Count
    min_bump: Positive
    min_steepening: Positive
    resamples: Many


class Verdicts(Section):
    head_score: Share
    max_lag: Positive
    min_icl_gain: Positive
    min_removed: Share
    min_eigenvalue: Share
    partner_previous_token: Share
    above_chance: Share
    min_behaviours: Many
    min_depths: Annotated[int, Field(ge=2)]
    max_icl_step: Positive
    steered_removed: Share
    steered_rise: Share


class StudyConfig(Section):
    """All of params.yaml."""

    name: Title
    compute: Compute
    resources: dict[str, Resources]
    corpus: Corpus
    tokenizer: Tokenizer
    model: ModelShape
    train: Train
    snapshots: Snapshots
    evaluation: Evaluation
    head_kinds: HeadKinds
    ablation: Ablation
    icl_windows: IclWindows
    pca: Pca
    loss_maps: LossMaps
    explorer: Explorer
    behaviours: Behaviours
    steering: Steering
    llc: Llc
    phase_change: PhaseChange
    verdicts: Verdicts
    models: Annotated[dict[ModelName, Model], Field(min_length=1, max_length=1000)]
    external: Annotated[dict[ModelName, ExternalModel], Field(max_length=1000)]

    @property
    def studied(self) -> dict[str, Model | ExternalModel]:
        """All models that are measured: those trained here, then those of others."""
        return {**self.models, **self.external}

    @property
    def usual(self) -> "StudyConfig":
        """The same without the models that are experiments beyond the paper."""
        models = {name: entry for name, entry in self.models.items() if not entry.experiment}
        return self.model_copy(update={"models": models})

    def resources_of(self, group: str) -> Resources:
        """What stages of a group (`train`, `report`) ask of a node."""
        return self.resources.get(group, self.resources["default"])
