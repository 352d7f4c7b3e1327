"""Everything that the report draws on, read from the files that the study wrote."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from induction.config import StudyConfig, load_config
from induction.data.tokens import TokensMeta, load_meta
from induction.files import read_json, verify_folder
from induction.paths import StudyPaths, find_study
from induction.study.behaviours import Behaviours, load_behaviours
from induction.study.curves import Curves, load_curves
from induction.study.loss_map import LossMap, map_loss
from induction.study.verdicts.verdict import Kind


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
class LossSpace:
    """The joint components of per-token losses.

    explained_variance: share of each component; explained_variance_smooth: of what is left of the
    variance when losses are smoothed over ln(tokens); noise: the share that smoothing takes away.
    scores: a row for each snapshot (model, step, tokens, fitted, pc1, pc2 …). turns: by model, None
    without a band. tokens: those that weigh most on each component.
    """

    explained_variance: list[float]
    explained_variance_smooth: list[float]
    noise: float
    scores: pl.DataFrame
    turns: dict[str, dict[str, Any] | None]
    tokens: pl.DataFrame


@dataclass(frozen=True)
class Results:
    """The study's outcome. What is by model stands in the order of params.yaml.

    seeds: the verdicts and the bumps of the mean loss over seeds, as summarize wrote them.
    took: of each stage its seconds and peak_gib, the most memory that it held at once.
    readings: how each model of others was read: source, tokenizer, start_token (id, text, why),
    left_out (name, step, reason) and shared (revisions, tensors, of), as measure-external wrote it.
    """

    paths: StudyPaths
    config: StudyConfig
    corpus: TokensMeta
    curves: dict[str, Curves]
    ablations: dict[str, Ablations]
    behaviours: dict[str, Behaviours]
    loss_space: LossSpace
    windows: pl.DataFrame
    metrics: dict[str, dict[str, Any]]
    details: dict[str, dict[str, Any]]
    verdicts: list[dict[str, Any]]
    seeds: dict[str, list[dict[str, Any]]]
    took: dict[str, dict[str, Any]]
    environment: dict[str, str]
    readings: dict[str, dict[str, Any]] = field(default_factory=dict)

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


def verdict_of(results: Results, argument: int) -> dict[str, Any]:
    """The verdict on one argument, as verdicts.json has it."""
    return next(verdict for verdict in results.verdicts if verdict["argument"] == argument)


def checks_of(verdict: Mapping[str, Any], *kinds: Kind) -> list[dict[str, Any]]:
    """The checks of a verdict that are of these kinds, in their order."""
    return [check for check in verdict["checks"] if check["kind"] in kinds]


def load_results(paths: StudyPaths | None = None) -> Results:
    """Read the results around the working directory.

    Raises StudyError naming the first file that is missing or damaged.
    """
    paths = paths or find_study()
    config = load_config(paths.params)
    metrics, details = read_json(paths.metrics)["models"], read_json(paths.details)
    timings = [read_json(path) for path in sorted(paths.timings.glob("*.json"))]
    first = next(iter(config.models))
    return Results(
        paths=paths,
        config=config,
        corpus=load_meta(paths.tokens),
        curves={name: load_curves(paths, name) for name in config.studied},
        ablations={name: _load_ablations(paths, name) for name in config.studied},
        behaviours={name: load_behaviours(paths, name) for name in config.studied},
        loss_space=_load_loss_space(paths),
        windows=pl.read_csv(paths.windows),
        metrics={name: metrics[name] for name in config.studied},
        details={name: details[name] for name in config.studied},
        verdicts=read_json(paths.verdicts),
        seeds=read_json(paths.seeds),
        took={timing["stage"]: timing for timing in timings},
        environment=read_json(paths.measurements(first) / "manifest.json")["environment"],
        readings={name: read_json(paths.reading(name)) for name in config.external},
    )


def _load_ablations(paths: StudyPaths, model: str) -> Ablations:
    folder = paths.ablations(model)
    verify_folder(folder)
    return Ablations(
        pl.read_parquet(folder / "heads.parquet"), pl.read_parquet(folder / "sets.parquet")
    )


def _load_loss_space(paths: StudyPaths) -> LossSpace:
    found = read_json(paths.pca)
    return LossSpace(
        explained_variance=found["explained_variance"],
        explained_variance_smooth=found["explained_variance_smooth"],
        noise=found["noise"],
        scores=pl.read_parquet(paths.pca_scores),
        turns=found["turns"],
        tokens=pl.read_parquet(paths.pca_tokens),
    )
