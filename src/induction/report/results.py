"""Everything that the report draws on, read from the files that the study wrote."""

from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from induction.config import StudyConfig, load_config
from induction.data.tokens import TokensMeta, load_meta
from induction.external.reading import Reading
from induction.files import MANIFEST, read_json, read_record, verify_folder
from induction.files.tables import read_table
from induction.paths import StudyPaths, find_study
from induction.rules.curves import Curves, load_curves
from induction.study.behaviours import Behaviours, load_behaviours
from induction.study.beyond import Beyond
from induction.study.beyond.bigrams import Divergences, load_divergences
from induction.study.beyond.llc import Coefficients, load_all_coefficients
from induction.study.kinds import find_kinds
from induction.study.loss_map import LossMap, map_loss
from induction.study.over_seeds import OverSeeds
from induction.study.pca import Explained
from induction.study.summary import ModelSummary, read_summaries
from induction.study.verdicts import Verdict

_MOST_LISTED = 16


@dataclass(frozen=True)
class Ablations:
    """The tables of one model in data/ablations."""

    heads: pl.DataFrame
    sets: pl.DataFrame

    @property
    def last_heads(self) -> pl.DataFrame:
        """Single heads set to zero at the last snapshot."""
        return _last(self.heads)

    @property
    def last_sets(self) -> pl.DataFrame:
        """Sets of heads set to zero at the last snapshot."""
        return _last(self.sets)


def _last(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter((pl.col("step") == pl.col("step").max()) & (pl.col("kind") == "zero"))


@dataclass(frozen=True)
class StoredLossSpace:
    """The joint components of per-token losses.

    scores: a row for each snapshot (model, step, tokens, fitted, pc1, pc2 …). top_loading_tokens:
    those that weigh most on each component.
    """

    explained: Explained
    scores: pl.DataFrame
    top_loading_tokens: pl.DataFrame


@dataclass(frozen=True)
class Timing:
    """What a stage took: seconds, and the most memory that it held at once."""

    stage: str
    seconds: float
    peak_gib: float | None = None


@dataclass(frozen=True)
class Results:
    """The study's outcome. What is by model stands in the order of params.yaml.

    config: without the models that are experiments beyond the paper; nothing but `experiments`,
    their curves with those of the models that they are compared to, and `beyond` is of them.
    environment: of the machine that measured, by what it says of itself. readings: how each model
    of others was read. divergences: of our own models from n-gram predictors.
    coefficients: of those of our own models around which the loss was sampled.
    """

    paths: StudyPaths
    config: StudyConfig
    corpus: TokensMeta
    curves: dict[str, Curves]
    experiments: dict[str, Curves]
    ablations: dict[str, Ablations]
    behaviours: dict[str, Behaviours]
    divergences: dict[str, Divergences]
    coefficients: dict[str, Coefficients]
    loss_space: StoredLossSpace
    windows: pl.DataFrame
    models: dict[str, ModelSummary]
    verdicts: list[Verdict]
    over_seeds: OverSeeds
    beyond: Beyond
    steering: pl.DataFrame
    timings: list[Timing]
    environment: dict[str, str]
    readings: dict[str, Reading] = field(default_factory=dict)

    def verdict(self, argument: int) -> Verdict:
        """The verdict on one of the paper's arguments."""
        return next(verdict for verdict in self.verdicts if verdict.argument == argument)

    @property
    def changed(self) -> list[str]:
        """The models with a phase change."""
        return [name for name, model in self.models.items() if model.change]

    @property
    def listed(self) -> list[str]:
        """What tables and figures of single models have: all, or of many the first of each kind."""
        if len(self.models) <= _MOST_LISTED:
            return list(self.models)
        return list(find_kinds(self.config.studied))

    @property
    def with_induction_heads(self) -> list[str]:
        """The models that have induction heads."""
        return [name for name, model in self.models.items() if model.kinds.induction]

    @cached_property
    def loss_maps(self) -> dict[str, LossMap | None]:
        """Loss over index and training of every model; None with too few snapshots."""
        rule, settings = self.config.phase_change, self.config.loss_maps
        return {
            name: map_loss(
                curves.tokens,
                curves.per_index,
                rule.min_tokens,
                rule.bandwidth,
                settings.index_bandwidth,
                settings.points,
            )
            for name, curves in self.curves.items()
        }


def load_results(paths: StudyPaths | None = None) -> Results:
    """Read the results around the working directory.

    Raises StudyError naming the first file that is missing or damaged.
    """
    paths = paths or find_study()
    whole = load_config(paths.params)
    config, first = whole.usual, next(iter(whole.models))
    curves = {name: load_curves(paths, name) for name in whole.studied}
    return Results(
        paths=paths,
        config=config,
        corpus=load_meta(paths.tokens),
        curves={name: curves[name] for name in config.studied},
        experiments=curves,
        ablations={name: _load_ablations(paths, name) for name in config.studied},
        behaviours={name: load_behaviours(paths, name) for name in config.studied},
        divergences={name: load_divergences(paths, name) for name in config.models},
        coefficients=load_all_coefficients(paths, config),
        loss_space=_load_loss_space(paths),
        windows=pl.read_csv(paths.windows),
        models=read_summaries(paths.details, config),
        verdicts=read_record(paths.verdicts, list[Verdict]),
        over_seeds=read_record(paths.seeds, OverSeeds),
        beyond=read_record(paths.beyond, Beyond),
        steering=pl.read_csv(paths.steering_curves, infer_schema_length=None),
        timings=[read_record(path, Timing) for path in sorted(paths.timings.glob("*.json"))],
        environment=read_json(paths.measurements(first) / MANIFEST)["environment"],
        readings={name: read_record(paths.reading(name), Reading) for name in config.external},
    )


def _load_ablations(paths: StudyPaths, model: str) -> Ablations:
    folder = paths.ablations(model)
    verify_folder(folder)
    return Ablations(read_table(folder / "heads.parquet"), read_table(folder / "sets.parquet"))


def _load_loss_space(paths: StudyPaths) -> StoredLossSpace:
    return StoredLossSpace(
        read_record(paths.pca, Explained),
        read_table(paths.pca_scores),
        read_table(paths.pca_tokens),
    )
