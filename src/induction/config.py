"""A frozen, typed mirror of `params.yaml`, and the only reader of it.

It holds no defaults and no derived numbers: every value that a result depends on stands in
`params.yaml`, where DVC sees it. That is why stages depend on parameters and not on this file.
"""

import json
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from induction.errors import StudyError
from induction.plain_yaml import read_yaml

# Upper limits stand far above any study: what is beyond them is a slip, and would only fail later,
# for want of memory or time.
Count = Annotated[int, Field(ge=1, le=10**15)]
Natural = Annotated[int, Field(ge=0, le=10**15)]
Seed = Annotated[int, Field(ge=0, lt=2**64)]  # what PyTorch's generators take
Size = Annotated[int, Field(ge=1, le=2**17)]  # of a matrix
Many = Annotated[int, Field(ge=1, le=10**6)]  # things that are held in memory at once
Positive = Annotated[float, Field(gt=0, le=1e15)]
Share = Annotated[float, Field(gt=0, lt=1)]
Window = tuple[Natural, Natural]
# Model names become names of folders and of DVC's stages. No capitals: some file systems take them
# for small letters.
ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Title = Annotated[str, StringConstraints(pattern=r"^\w[\w .-]{0,59}$")]
Revision = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_./-]{0,99}$")]
Glob = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,500}$")]
HubText = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,500}$")]

# Names of stages in dvc.yaml without the model, and what stands for all that have no entry.
RESOURCE_GROUPS = (
    *("default", "fetch", "prepare", "train", "measure", "ablate", "pca", "summarize", "explore"),
    *("report", "measure-external", "ablate-external", "revisions", "behave", "behave-external"),
)

_PATTERNS = {
    "behaviours": "expected a language such as fr or pt_BR, and as file none or one of data/own/",
    "datasets": "use letters, digits, dots and hyphens; no capitals in its name here",
    "external": "use letters, digits, dots, slashes and hyphens; capitals in revisions alone",
    "models": "use lower-case letters, digits and hyphens, at most 40",
    "name": "use letters, digits, spaces, dots and hyphens, at most 60",
    "corpus": "expected a glob such as data/own/**/*.txt, of at most 500 characters",
}


_BRANCHES = frozenset({"main", "master", "HEAD"})


class Section(BaseModel):
    """A mapping of params.yaml: unchangeable, every key required, no key unknown."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


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
    wheels: bool
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
    batch_tokens: Annotated[int, Field(ge=1, le=10**8)]
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
    copying: Annotated[float, Field(ge=-1, le=1)]
    previous_token: Share


class Ablation(Section):
    snapshots: Count
    examples: Count
    random_draws: Many
    resamples: Many
    seed: Seed


class IclWindows(Section):
    early: Annotated[tuple[Window, ...], Field(min_length=1, max_length=1000)]
    late: Annotated[tuple[Window, ...], Field(min_length=1, max_length=1000)]


class Pca(Section):
    components: Annotated[int, Field(ge=2, le=1000)]
    shuffles: Many
    heavy_tokens: Annotated[int, Field(ge=1, le=1000)]
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
    segment: Annotated[int, Field(ge=6, le=1000)]
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


class PhaseChange(Section):
    bandwidth: Positive
    min_slope: Positive
    band_fraction: Share
    min_drop: Positive
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


class Model(Section):
    """One model of the zoo: how it differs from the others."""

    n_layers: Annotated[int, Field(ge=1, le=1000)]
    attn_only: bool
    smeared_keys: bool
    optimizer: Literal["muon", "adamw"]
    tokens: Count
    seed: Seed


class ExternalModel(Section):
    """A model that others trained, with a snapshot for each of its revisions.

    source: a repository of a model hub (owner/name), or a local folder that holds a folder for each
    revision. revisions: name → training step; batch_tokens: tokens trained on in a step. n_layers
    must be the model's own. The other models of the study are told apart by what they are, so it
    says of itself what they do.
    """

    source: Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,500}$")]
    revisions: Annotated[dict[Revision, Natural], Field(min_length=1, max_length=10**5)]
    batch_tokens: Count
    n_layers: Annotated[int, Field(ge=1, le=1000)]
    device: Literal["cpu", "cuda"]
    dtype: Literal["float32", "bfloat16", "float16"]

    @property
    def attn_only(self) -> bool:
        return False

    @property
    def smeared_keys(self) -> bool:
        return False


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
    phase_change: PhaseChange
    verdicts: Verdicts
    models: Annotated[dict[ModelName, Model], Field(min_length=1, max_length=1000)]
    external: Annotated[dict[ModelName, ExternalModel], Field(max_length=1000)]

    @property
    def studied(self) -> dict[str, Model | ExternalModel]:
        """All models that are measured: those trained here, then those of others."""
        return {**self.models, **self.external}

    def resources_of(self, group: str) -> Resources:
        """What stages of a group (`train`, `report`) ask of a node."""
        return self.resources.get(group, self.resources["default"])


def load_config(path: Path) -> StudyConfig:
    """Read and check a parameter file.

    Raises StudyError, in one line, with the path of the first key that is unknown, missing, of a
    wrong type, out of range, or that cannot be combined with another.
    """
    values = read_yaml(path)
    try:
        config = StudyConfig.model_validate_json(json.dumps(values))
    except ValidationError as error:
        # A misspelt key is both unknown and missing: the first says more.
        errors = sorted(error.errors(), key=lambda found: found["type"] != "extra_forbidden")
        raise StudyError(f"{path.name}: {_explain(errors[0])}") from None
    except ValueError as error:  # a whole number of thousands of digits
        raise StudyError(f"{path.name}: {error}") from None
    for key, problem in _impossible(config):
        raise StudyError(f"{path.name}: {key}: {problem}")
    return config


def model_config(config: StudyConfig, name: str) -> Model:
    """The entry of one model; StudyError names the nearest one when there is none."""
    if name not in config.models:
        raise StudyError(f"params.yaml: models.{name}: {_unknown(name, config.models)}")
    return config.models[name]


def external_config(config: StudyConfig, name: str) -> ExternalModel:
    """The entry of one external model; StudyError names the nearest one when there is none."""
    if name not in config.external:
        raise StudyError(f"params.yaml: external.{name}: {_unknown(name, config.external)}")
    return config.external[name]


def _impossible(config: StudyConfig):
    """Pairs of key and problem for values that are each fine but cannot go together."""
    shape, train, ev = config.model, config.train, config.evaluation
    if shape.d_model % shape.n_heads:
        yield (
            "model.d_model",
            f"{shape.d_model} does not divide into n_heads: {shape.n_heads} heads of equal size: "
            f"use a multiple of {shape.n_heads}",
        )
    if shape.d_model % 2:
        yield "model.d_model", f"{shape.d_model} is odd: sinusoidal positions need an even number"
    if train.batch_tokens % shape.n_ctx:
        yield (
            "train.batch_tokens",
            f"{train.batch_tokens} is no multiple of model.n_ctx: {shape.n_ctx}",
        )
    elif train.batch_tokens // shape.n_ctx % config.compute.processes:
        yield (
            "compute.processes",
            f"{config.compute.processes} cannot share the {train.batch_tokens // shape.n_ctx} "
            "windows of train.batch_tokens equally: use a divisor, or another batch",
        )
    for name in ("early", "late"):
        low, high = getattr(ev, name)
        if not low <= high < shape.n_ctx:
            yield (
                f"evaluation.{name}",
                f"[{low}, {high}] must be ascending and below model.n_ctx: {shape.n_ctx}",
            )
    if ev.early[1] >= ev.late[0]:
        yield "evaluation.late", f"must start after evaluation.early ends, at {ev.early[1] + 1}"
    shortest, longest = ev.probe_period
    if not 2 <= shortest <= longest:
        yield "evaluation.probe_period", "must be two ascending lengths of at least 2"
    if 1 + ev.probe_repeats * longest > shape.n_ctx:
        yield (
            "evaluation.probe_period",
            f"{ev.probe_repeats} repeats of {longest} tokens and the start token are longer than "
            f"model.n_ctx: {shape.n_ctx}: at most {(shape.n_ctx - 1) // ev.probe_repeats}",
        )
    rare, common = ev.probe_vocab_quantiles
    if not 0 <= rare < common <= 1:
        yield "evaluation.probe_vocab_quantiles", "must be two ascending numbers from 0 to 1"
    elif (common - rare) * (config.tokenizer.d_vocab - 1) < longest:
        yield "evaluation.probe_vocab_quantiles", f"leaves fewer than {longest} tokens to draw from"
    if ev.tokens_per_example > shape.n_ctx:
        yield "evaluation.tokens_per_example", f"at most model.n_ctx: {shape.n_ctx}"
    if ev.pattern_examples > ev.examples:
        yield "evaluation.pattern_examples", f"at most evaluation.examples: {ev.examples}"
    if config.ablation.examples > ev.examples:
        yield "ablation.examples", f"at most evaluation.examples: {ev.examples}"
    if config.explorer.tokens > shape.n_ctx:
        yield "explorer.tokens", f"at most model.n_ctx: {shape.n_ctx}"
    behaviours = config.behaviours
    if behaviours.gap[0] > behaviours.gap[1]:
        yield "behaviours.gap", "must be two ascending lengths"
    if list(behaviours.shots) != sorted(set(behaviours.shots)):
        yield "behaviours.shots", "must be ascending, none twice"
    if ".." in behaviours.translation_file.split("/"):
        yield "behaviours.translation_file", "must stay below data/own/"
    for side in ("early", "late"):
        for low, high in getattr(config.icl_windows, side):
            if not low <= high < shape.n_ctx:
                yield (
                    f"icl_windows.{side}",
                    f"[{low}, {high}] must be ascending and below model.n_ctx: {shape.n_ctx}",
                )
    for group, asked in config.resources.items():
        if group not in RESOURCE_GROUPS:
            yield f"resources.{group}", _unknown(group, RESOURCE_GROUPS)
        if asked.gpus > 1 and asked.gpus % 1:
            yield (
                f"resources.{group}.gpus",
                f"{asked.gpus}: above 1, expected a whole number of GPUs",
            )
    if "default" not in config.resources:
        yield "resources.default", "this key is missing"
    if not (config.corpus.wheels or config.corpus.files or config.corpus.datasets):
        yield "corpus.files", "give at least one glob, or set corpus.wheels: true"
    for name, dataset in config.corpus.datasets.items():
        if dataset.revision in _BRANCHES:
            yield (
                f"corpus.datasets.{name}.revision",
                f"{dataset.revision} is a branch, which moves: name a commit or tag",
            )
    for name in config.external.keys() & config.models.keys():
        yield f"external.{name}", "models has an entry of this name: choose another"
    for name, model in config.external.items():
        steps = list(model.revisions.values())
        if twice := next((step for step in steps if steps.count(step) > 1), None):
            yield f"external.{name}.revisions", f"step {twice} stands twice: give each its own"
    for name, model in config.models.items():
        if model.tokens < train.batch_tokens:
            yield f"models.{name}.tokens", f"at least one batch: {train.batch_tokens}"


def _explain(error: ErrorDetails) -> str:
    """One line for a pydantic error: the key's path, what is wrong, what would be valid."""
    location = [part for part in error["loc"] if part != "[key]"]
    path = ".".join(str(part) for part in location) or "the file"
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return f"{path}: {_unknown(str(location[-1]), _known_keys(location[:-1]))}"
    if kind == "too_short" and path == "models":
        return "models: name at least one model"
    if kind == "missing" and isinstance(location[-1], int):
        return f"{path}: this list needs another value"
    if kind == "missing":
        return f"{path}: this key is missing"
    if kind == "string_pattern_mismatch":
        return f"{path}: {_PATTERNS[str(location[1] if 'datasets' in location else location[0])]}"
    message = error["msg"].removeprefix("Input should be ")
    found = json.dumps(error["input"])
    if len(found) > 60:
        found = found[:57] + "..."
    if kind == "literal_error":
        return f"{path}: expected {context['expected']}, found {found}"
    return f"{path}: expected {message}, found {found}"


def _unknown(key: str, known: Any) -> str:
    close = get_close_matches(key, list(known), n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
    return f"unknown key: {hint}"


def _known_keys(location: list[int | str]) -> list[str]:
    """The valid keys of the section that a location leads to."""
    section: Any = StudyConfig
    for part in location:
        if isinstance(section, type) and issubclass(section, Section):
            section = section.model_fields[str(part)].annotation
        else:  # dict[ModelName, Model]
            section = get_args(section)[1]
    return list(section.model_fields)
