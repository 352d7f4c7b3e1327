"""What the rules found in one model: its record in details.json, and its row of metrics.json."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import polars as pl
from pydantic import Field

from induction.config import ExternalModel, Model, StudyConfig
from induction.files import as_record, read_json
from induction.rules.curves import Curves
from induction.rules.head_kinds import HeadKinds, find_head_kinds
from induction.rules.intervals import Interval, last_intervals, mean_interval
from induction.rules.phase_change import (
    PhaseChange,
    find_phase_change,
    first_crossing,
    onset_interval,
)
from induction.study.attribution import Attribution, attribute
from induction.study.behaviours import Behaviours, TaskResult, describe_behaviours
from induction.study.bump import Bump, find_bumps
from induction.study.cut_off import is_cut_off, is_traced
from induction.study.lag import Lag, find_lag
from induction.study.mechanism import Circuit, describe_circuits
from induction.study.relative_rule import find_relative_change
from induction.study.steepening import Steepening, find_steepening

_KNOWN = Field(exclude=True)  # params.yaml has it, so details.json does not


@dataclass(frozen=True)
class ModelSummary:
    """What the verdicts and the report need to know of one model.

    icl_score, loss, loss_per_character (nats), max_prefix_matching and max_previous_token (over all
    heads) are those of the last snapshot. intervals: 95 %, of what metrics() calls by the same
    names, over evaluation examples or probe sequences; None where there is none.
    relative_change: by the rule of relative_rule.py. heads_formed_tokens: when the best
    prefix-matching score first reached half of its final value; None when that final value is below
    verdicts.head_score. cut_off: whether training ended
    inside a change of the ICL score; traced: whether there are snapshots enough to see one.
    icl_gains: by how many nats its final ICL score is better than that of each plain model that
    arguments 2 and 6 compare it to, 95 % over the windows that both read. lag: from the ICL onset
    to that of prefix matching. bump, steepening: the greatest ones of the loss curve, over tokens
    and over ln(tokens). kinds, circuits, attribution, behaviours: of the last snapshot; attribution
    is None for models without induction heads or without a control.
    """

    name: Annotated[str, _KNOWN]
    entry: Annotated[Model | ExternalModel, _KNOWN]
    change: PhaseChange | None
    relative_change: PhaseChange | None
    icl_score: float
    loss: float
    max_prefix_matching: float
    max_previous_token: float
    heads_formed_tokens: float | None
    lag: Lag | None
    bump: Bump | None
    steepening: Steepening | None
    kinds: HeadKinds
    circuits: tuple[Circuit, ...]
    attribution: Attribution | None
    behaviours: tuple[TaskResult, ...]
    intervals: dict[str, Interval | None]
    loss_per_character: float | None = None
    cut_off: bool = False
    traced: bool = True
    icl_gains: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def onset_tokens(self) -> float | None:
        return self.change and self.change.onset_tokens

    @property
    def band_tokens(self) -> Interval | None:
        return self.change and self.change.band_tokens

    @property
    def removed_share(self) -> float | None:
        """The share of the ICL gain that goes with the induction heads."""
        return self.attribution and self.attribution.induction.share

    @property
    def tasks(self) -> list[TaskResult]:
        """The behaviours, those left out that are controls for another."""
        return [result for result in self.behaviours if result.kind != "control"]

    def metrics(self) -> dict[str, object]:
        """The model's entry in metrics.json: whole tokens, nats and shares to four decimals."""
        change, attribution = self.change, self.attribution
        return {
            "onset_tokens": _rounded(self.onset_tokens, None),
            "band_tokens": [round(end) for end in change.band_tokens] if change else None,
            "band_complete": change.complete if change else None,
            "heads_formed_tokens": _rounded(self.heads_formed_tokens, None),
            "lag": _rounded(self.lag and self.lag.lag),
            "bump_tokens": _rounded(self.bump and self.bump.peak_tokens, None),
            "icl_score": _rounded(self.icl_score),
            "loss": _rounded(self.loss),
            "loss_per_character": _rounded(self.loss_per_character),
            "max_prefix_matching": _rounded(self.max_prefix_matching),
            "max_previous_token": _rounded(self.max_previous_token),
            "n_induction_heads": len(self.kinds.induction),
            "icl_removed_by_induction_heads": _rounded(self.removed_share),
            "icl_removed_by_random_heads": _rounded(attribution and attribution.random_mean),
        }


def _rounded(value: float | None, digits: int | None = 4) -> float | None:
    return None if value is None else round(value, digits)


def read_summaries(path: Path, config: StudyConfig) -> dict[str, ModelSummary]:
    """The models of details.json, in the order of params.yaml.

    Raises StudyError naming what is missing.
    """
    rows = read_json(path)
    values = {
        name: {**rows.get(name, {}), "name": name, "entry": entry}
        for name, entry in config.studied.items()
    }
    return as_record(path, dict[str, ModelSummary], values)


def summarize(
    curves: Mapping[str, Curves],
    pairs: Mapping[str, pl.DataFrame],
    sets: Mapping[str, pl.DataFrame],
    behaviours: Mapping[str, Behaviours],
    config: StudyConfig,
) -> list[ModelSummary]:
    """Apply the rules to all models.

    pairs, sets: circuits.parquet and the ablated sets of each model. behaviours: of those that are
    no experiments beyond the paper.
    """
    return [
        _summarize(name, curves, pairs[name], sets[name], behaviours.get(name), config)
        for name in config.studied
    ]


def _summarize(
    name: str,
    curves: Mapping[str, Curves],
    pairs: pl.DataFrame,
    sets: pl.DataFrame,
    behaviours: Behaviours | None,
    config: StudyConfig,
) -> ModelSummary:
    own, rule = curves[name], config.phase_change
    prefix = own.best_head("prefix_matching")
    change = find_phase_change(own.tokens, own.icl_score, rule)
    formed = prefix[-1] >= config.verdicts.head_score
    kinds = find_head_kinds(own.last_heads, config.head_kinds)
    bumps = find_bumps(own.tokens, own.loss, rule)
    seed = config.evaluation.seed
    lag = find_lag(
        own.tokens,
        own.late - own.early,
        own.prefix_sequences,
        rule,
        config.verdicts.head_score,
        rule.resamples,
        seed,
    )
    attribution = _attribution(name, curves, sets, config)
    return ModelSummary(
        name=name,
        entry=config.studied[name],
        change=change,
        relative_change=find_relative_change(own.tokens, own.icl_score, rule),
        cut_off=is_cut_off(own.tokens, own.icl_score, rule),
        traced=is_traced(own.tokens, rule),
        icl_gains=_icl_gains(name, curves, config),
        icl_score=float(own.icl_score[-1]),
        loss=float(own.loss[-1]),
        loss_per_character=None if own.per_character is None else float(own.per_character[-1]),
        max_prefix_matching=float(prefix[-1]),
        max_previous_token=float(own.best_head("previous_token")[-1]),
        heads_formed_tokens=first_crossing(own.tokens, prefix, prefix[-1] / 2) if formed else None,
        lag=lag,
        bump=bumps[0] if bumps else None,
        steepening=find_steepening(own.tokens, own.loss, rule),
        kinds=kinds,
        circuits=tuple(
            describe_circuits(
                own.last_heads, pairs.filter(pl.col("step") == own.step[-1]), kinds.induction
            )
        ),
        attribution=attribution,
        behaviours=describe_behaviours(behaviours, kinds.induction) if behaviours else (),
        intervals={
            "onset_tokens": onset_interval(
                own.tokens, own.early, own.late, rule, rule.resamples, seed
            )
            if change
            else None,
            "lag": lag and lag.interval,
            "icl_removed_by_induction_heads": attribution
            and (attribution.induction.low, attribution.induction.high),
            **last_intervals(own),
        },
    )


def _icl_gains(name: str, curves: Mapping[str, Curves], config: StudyConfig) -> dict[str, Interval]:
    """Over the same windows, so that what is hard for all models drops out."""
    own = (curves[name].late - curves[name].early)[-1]
    ends = {
        other: mean_interval((curves[other].late - curves[other].early)[-1] - own)
        for other, entry in config.studied.items()
        if _compared(config.studied[name], entry)
    }
    return {other: interval for other, interval in ends.items() if interval}


def _compared(entry: Model | ExternalModel, other: Model | ExternalModel) -> bool:
    """Whether argument 2 asks what smeared keys win over the other, or argument 6 how far the
    deeper other is."""
    ours = isinstance(entry, Model) and isinstance(other, Model)
    if not (ours and other.plain and entry.attn_only == other.attn_only):
        return False
    twins = entry.smeared_keys and entry.n_layers == other.n_layers
    return twins or (entry.plain and entry.n_layers < other.n_layers)


def _attribution(
    name: str, curves: Mapping[str, Curves], sets: pl.DataFrame, config: StudyConfig
) -> Attribution | None:
    """Against the first one-layer model of ours with plain keys and the same kind of layers."""
    entry, examples = config.studied[name], config.ablation.examples
    if name in config.external:
        examples = config.external[name].ablated_examples or examples
    for control, other in config.models.items():
        plain_layer = other.n_layers == 1 and other.plain
        if plain_layer and other.attn_only == entry.attn_only and control != name:
            gain = curves[control].final_icl(examples) - curves[name].final_icl(examples)
            return attribute(sets, control, gain)
    return None
