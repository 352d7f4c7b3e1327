"""One run, read from a folder that is laid out like a checkout."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from induction.config import ExternalModel, Model
from induction.config.plain_yaml import read_mapping
from induction.environment import packages
from induction.errors import StudyError
from induction.files import MANIFEST, read_json, sha256
from induction.paths import StudyPaths
from induction.runs.dvc_lock import Stages, load_stages
from induction.runs.layout import ABOUT

# Where revisions before details.json held all intervals have theirs, in metrics.json.
_OLD_INTERVALS = {
    "onset_tokens": "onset_interval_tokens",
    "lag": "lag_interval",
    "icl_removed_by_induction_heads": "icl_removed_interval",
}


@dataclass(frozen=True)
class Run:
    """The small results of one run. What a run does not have is None or empty; `missing` says what.

    label: what the reader calls it. commit, date: of the state it was made from, None where that is
    not known; `exact` is false where files may differ from that commit. params: params.yaml as
    plain values. metrics, details: by model. environments: by model.
    packages: names and versions of requirements.lock. left_out: sentences on what could not be had.
    """

    label: str
    commit: str | None
    date: str | None
    exact: bool
    paths: StudyPaths
    params: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]
    details: Mapping[str, Mapping[str, Any]]
    verdicts: tuple[Mapping[str, Any], ...]
    curves: pl.DataFrame | None
    corpus: Mapping[str, Any] | None
    environments: Mapping[str, Mapping[str, str]]
    packages: Mapping[str, str]
    seconds: Mapping[str, float]
    missing: tuple[str, ...]
    left_out: tuple[str, ...]

    @cached_property
    def stages(self) -> Stages:
        """dvc.lock; read once asked for, since it takes longer than all else together. StudyError
        says where it is damaged."""
        return load_stages(self.paths)

    @property
    def models(self) -> dict[str, Model | ExternalModel]:
        """All models, as far as looks need it: entries of other revisions are not checked."""
        plain = {"n_layers": 1, "attn_only": True, "smeared_keys": False}
        ours, others = self.params["models"].items(), (self.params.get("external") or {}).items()
        return {
            **{name: Model.model_construct(**{**plain, **entry}) for name, entry in ours},
            **{name: ExternalModel.model_construct(**e) for name, e in others},
        }

    @property
    def entries(self) -> Mapping[str, Mapping[str, Any]]:
        return entries_of(self.params)

    def key_of(self, model: str) -> str:
        """Where the entry of a model stands in the parameters."""
        return f"models.{model}" if model in self.params["models"] else f"external.{model}"

    def trained(self, model: str) -> pl.DataFrame:
        """The curves of a model at the snapshots that a logarithmic axis can show; no rows where
        the run has no curves."""
        curves = pl.DataFrame({"model": [], "tokens": []}) if self.curves is None else self.curves
        return curves.filter((pl.col("model") == model) & (pl.col("tokens") > 0))

    def interval(self, model: str, metric: str) -> tuple[float, float] | None:
        """95 % interval of a metric, None where there is none."""
        row, details = self.metrics.get(model, {}), self.details.get(model, {})
        ends = details.get("intervals", {}).get(metric) or row.get(_OLD_INTERVALS.get(metric, ""))
        return (float(ends[0]), float(ends[1])) if ends else None

    @property
    def evaluation_tokens(self) -> tuple | None:
        """What the per-token losses were measured on; equal for two runs if it was the same."""
        evaluation, model = self.params.get("evaluation"), self.params.get("model")
        manifest = self.paths.tokens_manifest
        if not (evaluation and model and manifest.is_file()):
            return None
        hashes = {entry["name"]: entry["sha256"] for entry in read_json(manifest)["files"]}
        keys = ("examples", "tokens_per_example", "seed")
        drawn = tuple(evaluation.get(key) for key in keys)
        return (hashes.get("valid.bin"), model.get("n_ctx"), *drawn)

    @property
    def min_tokens(self) -> int:
        """Earlier snapshots take no part in the fit of components."""
        return self.params.get("phase_change", {}).get("min_tokens", 0)

    @property
    def lock_matches(self) -> bool | None:
        """Whether requirements.lock is the one that the results were made with; None: not known."""
        made = {env.get("requirements_lock_sha256") for env in self.environments.values()} - {""}
        return made == {sha256(self.paths.lock)} if made and self.paths.lock.is_file() else None


def load_run(folder: Path) -> Run:
    """Read a run.

    Raises StudyError naming the file when there are no parameters or metrics, or one is damaged.
    """
    paths = StudyPaths(folder)
    about = _json(folder / ABOUT) or {}
    params = load_params(paths.params)
    metrics = read_json(paths.metrics)["models"]
    optional = {
        "intervals and heads": paths.details,
        "verdicts": paths.verdicts,
        "curves": paths.curves,
        "record of stages": paths.stages_lock,
        "description of the text": paths.tokens_meta,
        "list of packages": paths.lock,
    }
    environments = {name: _json(paths.measurements(name) / MANIFEST) for name in entries_of(params)}
    timings = [_json(path) for path in sorted(paths.timings.glob("*.json"))]
    missing = [name for name, path in optional.items() if not path.is_file()]
    if not any(environments.values()):
        missing.append("environment")
    return Run(
        label=about.get("label", folder.name),
        commit=about.get("commit"),
        date=about.get("date"),
        exact=about.get("exact", True),
        paths=paths,
        params=params,
        metrics=metrics,
        details=_json(paths.details) or {},
        verdicts=tuple(_json(paths.verdicts) or ()),
        curves=_curves(paths.curves),
        corpus=_json(paths.tokens_meta),
        environments={name: found["environment"] for name, found in environments.items() if found},
        packages=packages(paths.lock.read_text(encoding="utf-8")) if paths.lock.is_file() else {},
        seconds={found["stage"]: found["seconds"] for found in timings if found},
        missing=tuple(missing),
        left_out=tuple(about.get("left_out", ())),
    )


def load_params(path: Path) -> dict[str, Any]:
    """Parameters as plain values, of any revision; StudyError when there is no table of models."""
    values = read_mapping(path)
    if not isinstance(values.get("models"), dict):
        raise StudyError(f"{path}: no `models:`: not the parameters of this study")
    return values


def entries_of(params: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The entries of all models: those trained in the run, then those of others."""
    return {**params["models"], **(params.get("external") or {})}


def _json(path: Path) -> Any:
    return read_json(path) if path.is_file() else None


def _curves(path: Path) -> pl.DataFrame | None:
    if not path.is_file():
        return None
    try:
        return pl.read_csv(path, infer_schema_length=None)
    except pl.exceptions.PolarsError as error:
        raise StudyError(f"{path}: damaged: {error}") from None
