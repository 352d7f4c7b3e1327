"""What the tests over seeds ask of one trained model, and the kinds that have seeds enough."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl

from induction.config import Model, StudyConfig
from induction.rules.curves import Curves
from induction.rules.head_kinds import Head
from induction.study.heads import of_heads
from induction.study.mechanism import as_theory_says, describe_circuits
from induction.study.summary import ModelSummary

MIN_SEEDS = 3
"""Of a kind, for an argument that needs it to be tested."""


class ModelKind(NamedTuple):
    """What models share that differ in their seed alone; all with the study's own recipe."""

    n_layers: int
    attn_only: bool
    smeared: str  # keys, values or nothing

    @property
    def plain(self) -> bool:
        return self.smeared == "nothing"


@dataclass(frozen=True)
class HeadFacts:
    """A head of a later layer. passes: the checks of argument 5. partner_matters: whether cutting
    the path from its partner to its keys lowers prefix matching by more than any other such path;
    None where no path was cut."""

    head: Head
    induction: bool
    passes: bool
    partner_matters: bool | None


@dataclass(frozen=True)
class SeedFacts:
    """One model at the end of its training.

    onset_tokens, relative_onset_tokens: by the absolute and the relative rule; None without a
    change. heads_formed_tokens, icl_score: as in ModelSummary. removed: kind of ablation → share of
    the ICL gain that goes with all induction heads, over the mean of the one-layer seeds; empty
    without induction heads or gain. others_removed: the same for each set of other heads, zeroed.
    """

    name: str
    kind: ModelKind
    tokens: float
    onset_tokens: float | None
    relative_onset_tokens: float | None
    heads_formed_tokens: float | None
    icl_score: float
    removed: Mapping[str, float]
    others_removed: tuple[float, ...]
    heads: tuple[HeadFacts, ...]


def kind_of(entry: Model) -> ModelKind | None:
    """The kind that a model is a seed of; None for one with a recipe or data order of its own,
    or of an experiment beyond the paper."""
    own = entry.optimizer != "muon" or entry.learning_rate or entry.data_order != "shared"
    if own or entry.experiment or (entry.smeared_keys and entry.smeared_values):
        return None
    smeared = "keys" if entry.smeared_keys else "values" if entry.smeared_values else "nothing"
    return ModelKind(entry.n_layers, entry.attn_only, smeared)


def gather(
    summaries: Sequence[ModelSummary],
    curves: Mapping[str, Curves],
    pairs: Mapping[str, pl.DataFrame],
    sets: Mapping[str, pl.DataFrame],
    key_paths: Mapping[str, pl.DataFrame],
    config: StudyConfig,
) -> dict[ModelKind, list[SeedFacts]]:
    """The seeds of every kind that has `MIN_SEEDS` of them or more.

    pairs, sets, key_paths: circuits.parquet, sets.parquet and key_paths.parquet of each model.
    """
    kinds: dict[ModelKind, list[ModelSummary]] = {}
    for summary in summaries:
        kind = kind_of(summary.entry) if isinstance(summary.entry, Model) else None
        if kind:
            kinds.setdefault(kind, []).append(summary)
    examples = config.ablation.examples
    found: dict[ModelKind, list[SeedFacts]] = {}
    for kind, members in kinds.items():
        if len(members) < MIN_SEEDS:
            continue
        controls = kinds.get(ModelKind(1, kind.attn_only, "nothing"), [])
        base = [curves[s.name].final_icl(examples) for s in controls]
        for s in members:
            own = curves[s.name]
            gain = float(np.mean(base)) - own.final_icl(examples) if base else 0.0
            relative = s.relative_change
            removed, others = _removed(sets[s.name], gain)
            facts = SeedFacts(
                name=s.name,
                kind=kind,
                tokens=float(own.tokens[-1]),
                onset_tokens=s.onset_tokens,
                relative_onset_tokens=relative and relative.onset_tokens,
                heads_formed_tokens=s.heads_formed_tokens,
                icl_score=s.icl_score,
                removed=removed,
                others_removed=others,
                heads=_heads(s, own, pairs[s.name], key_paths[s.name], config),
            )
            found.setdefault(kind, []).append(facts)
    return found


def _removed(sets: pl.DataFrame, gain: float) -> tuple[dict[str, float], tuple[float, ...]]:
    """Shares of the gain that go with the induction heads, by kind of ablation, and with others."""
    if gain <= 0 or sets.is_empty():
        return {}, ()
    last = sets.filter(pl.col("step") == pl.col("step").max())
    induction = last.filter(pl.col("set") == "induction")
    others = last.filter(pl.col("set") == "other").sort("draw")
    shares = zip(induction["kind"], induction["icl_attribution"] / gain, strict=True)
    return dict(shares), tuple((others["icl_attribution"] / gain).to_list())


def _heads(
    s: ModelSummary,
    own: Curves,
    pairs: pl.DataFrame,
    key_paths: pl.DataFrame,
    config: StudyConfig,
) -> tuple[HeadFacts, ...]:
    """Every head that has heads before it."""
    thresholds = config.verdicts
    later = own.last_heads.filter(pl.col("layer") > 0).sort("layer", "head")
    heads: list[Head] = list(later.select("layer", "head").iter_rows())
    at_end = pairs.filter(pl.col("step") == own.step[-1])
    return tuple(
        HeadFacts(
            head=circuit.head,
            induction=head in s.kinds.induction,
            passes=as_theory_says(
                circuit, thresholds.min_eigenvalue, thresholds.partner_previous_token
            ),
            partner_matters=_partner_matters(key_paths, head, circuit.partner),
        )
        for head, circuit in zip(
            heads, describe_circuits(own.last_heads, at_end, heads), strict=True
        )
    )


def _partner_matters(key_paths: pl.DataFrame, head: Head, partner: Head | None) -> bool | None:
    own = key_paths.filter(of_heads([head]))
    if own.is_empty() or partner is None:
        return None
    least = own.sort("without").row(0, named=True)
    lowers = least["without"] < least["prefix_matching"]
    return lowers and (least["from_layer"], least["from_head"]) == partner
