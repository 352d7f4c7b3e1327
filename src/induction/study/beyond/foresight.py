"""Whether the onset of a model can be foreseen from what it does before any model changes.

The rule is that of reports/beyond.md; the formula is that of Aoyama et al. 2025 (arXiv
2511.16893), who find that heads emerge after a number of tokens that grows with the batch and the
context alone: 10^5.7 times the root of their product.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import polars as pl
from sklearn.linear_model import RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from induction.config import StudyConfig
from induction.rules.curves import Curves
from induction.rules.phase_change import make_smoother
from induction.study.beyond.bigrams import Divergences
from induction.study.kinds import kind_label
from induction.study.over_seeds.facts import ModelKind, SeedFacts
from induction.study.verdicts.verdict import Outcome

MIN_MODELS, MIN_KINDS = 10, 3
MOST_OF_CONSTANT = 0.75
LEVEL = 0.05
_SHUFFLINGS = 1000
_MIN_SNAPSHOTS = 4
_PENALTIES = np.logspace(-2, 3, 11)


@dataclass(frozen=True)
class Errors:
    """Root mean square of ln(foreseen / found) in e-folds: of the regression, of the mean of the
    models that it was fitted on, and of the formula."""

    regression: float
    constant: float
    formula: float


@dataclass(frozen=True)
class Forecast:
    """Of one model: the onset that was found, and those foreseen without its kind or without it."""

    model: str
    kind: str
    onset_tokens: float
    without_kind: float
    without_model: float


@dataclass(frozen=True)
class Foresight:
    """moment_tokens: nothing after it was used. p_value: share of shufflings of the onsets that
    give as small a ratio of the first two errors, with kinds left out. models, kinds: how many
    could be asked, enough or not."""

    outcome: Outcome
    models: int
    kinds: int
    moment_tokens: float | None = None
    without_kind: Errors | None = None
    without_model: Errors | None = None
    p_value: float | None = None
    forecasts: tuple[Forecast, ...] = ()


def foresee(
    seeds: Mapping[ModelKind, Sequence[SeedFacts]],
    curves: Mapping[str, Curves],
    pairs: Mapping[str, pl.DataFrame],
    divergences: Mapping[str, Divergences],
    config: StudyConfig,
) -> Foresight:
    """Ask all seeds of the plain kinds that change.

    seeds: as `gather` finds them. pairs: circuits.parquet of each model.
    """
    kinds = {
        kind_label([s.name for s in members]): [s for s in members if s.onset_tokens]
        for kind, members in seeds.items()
        if kind.plain
    }
    kinds = {label: members for label, members in kinds.items() if members}
    asked = list(chain.from_iterable(kinds.values()))
    if len(asked) < MIN_MODELS or len(kinds) < MIN_KINDS:
        return Foresight("not tested", len(asked), len(kinds))
    onsets = np.array([s.onset_tokens for s in asked], dtype=float)
    moment = float(onsets.min())
    if any(_seen(curves[s.name], moment, config).sum() < _MIN_SNAPSHOTS for s in asked):
        return Foresight("not tested", len(asked), len(kinds), moment)
    known = np.array(
        [_known(curves[s.name], pairs[s.name], divergences[s.name], moment, config) for s in asked]
    )
    of_kind = np.repeat(np.arange(len(kinds)), [len(members) for members in kinds.values()])
    by_itself = np.arange(len(asked))
    labels, seed = list(kinds), config.evaluation.seed
    # The windows of a batch times the context are its tokens.
    formula = 10**5.7 * np.sqrt(config.train.batch_tokens)
    found = {}
    for name, groups in (("kind", of_kind), ("model", by_itself)):
        foreseen, constant = predict_held_out(known, np.log(onsets), groups)
        errors = (rms(each - np.log(onsets)) for each in (foreseen, constant, np.log(formula)))
        found[name] = np.exp(foreseen), Errors(*errors)
    errors = found["kind"][1]
    ratio = errors.regression / errors.constant
    p_value = _p_value(known, np.log(onsets), of_kind, ratio, seed)
    return Foresight(
        outcome=decide(ratio, p_value),
        models=len(asked),
        kinds=len(kinds),
        moment_tokens=moment,
        without_kind=errors,
        without_model=found["model"][1],
        p_value=p_value,
        forecasts=tuple(
            Forecast(s.name, labels[kind], float(onset), float(one), float(other))
            for s, kind, onset, one, other in zip(
                asked, of_kind, onsets, found["kind"][0], found["model"][0], strict=True
            )
        ),
    )


def decide(ratio: float, p_value: float) -> Outcome:
    """The outcome by the rule. ratio: error of the regression over that of the constant guess, with
    kinds left out."""
    if ratio >= 1:
        return "not supported"
    sure = ratio <= MOST_OF_CONSTANT and p_value <= LEVEL
    return "supported" if sure else "inconclusive"


def predict_held_out(
    known: np.ndarray, wanted: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """What the regression and the mean say of each group when it is left out: as `wanted` each.

    known: [models, features]. wanted: [models], or [models, series] of several to foresee apart.
    groups: [models], a number for each group.
    """
    regression = RidgeCV(_PENALTIES, alpha_per_target=wanted.ndim > 1)
    foreseen, constant = np.empty_like(wanted), np.empty_like(wanted)
    for group in np.unique(groups):
        out = groups == group
        fitted = make_pipeline(StandardScaler(), regression).fit(known[~out], wanted[~out])
        foreseen[out], constant[out] = fitted.predict(known[out]), wanted[~out].mean(axis=0)
    return foreseen, constant


def rms(errors: np.ndarray) -> float:
    return float(np.sqrt((errors**2).mean()))


def _p_value(
    known: np.ndarray, wanted: np.ndarray, groups: np.ndarray, ratio: float, seed: int
) -> float:
    random = np.random.default_rng(seed)
    shuffled = np.stack([random.permutation(wanted) for _ in range(_SHUFFLINGS)], axis=1)
    foreseen, constant = predict_held_out(known, shuffled, groups)
    ratios = np.sqrt(((foreseen - shuffled) ** 2).mean(0) / ((constant - shuffled) ** 2).mean(0))
    return float((ratios <= ratio).mean())


def _seen(curves: Curves, moment: float, config: StudyConfig) -> np.ndarray:
    """The snapshots that the onset rule looks at and that come before a moment: [snapshots]."""
    return (curves.tokens >= config.phase_change.min_tokens) & (curves.tokens < moment)


def _known(
    curves: Curves,
    pairs: pl.DataFrame,
    divergences: Divergences,
    moment: float,
    config: StudyConfig,
) -> list[float]:
    """What the last snapshot before the moment shows, the slope over those that come before too."""
    rule, last = config.phase_change, int(np.flatnonzero(curves.tokens < moment)[-1])
    seen = _seen(curves, moment, config)
    tokens = curves.tokens[seen]
    slope = make_smoother(tokens, rule.bandwidth, tokens[-1:]).slope @ curves.icl_score[seen]
    at_last = pairs.filter(pl.col("step") == curves.step[last])
    return [
        float(curves.best_head("previous_token")[last]),
        at_last["k"].to_numpy().max(),
        float(divergences.of["bigram"][last].mean()),
        slope.item(),
    ]
