"""Whether models predict like bigrams before their phase change.

Hoogland et al. 2024 (arXiv 2402.02364) and Edelman et al. 2024 (arXiv 2402.11004) find that
training passes through predictors of growing order. The rule is that of reports/beyond.md.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from induction.config import Model
from induction.files import verify_folder
from induction.files.tables import read_arrays
from induction.paths import StudyPaths
from induction.study.summary import ModelSummary
from induction.study.verdicts.verdict import Outcome

_COMPARED = ("unigram", "bigram")
_RESAMPLES = 1000
SURE = 0.95


@dataclass(frozen=True)
class Divergences:
    """KL(predictor ‖ model) over training, in nats.

    tokens: [snapshots]. of: predictor → [snapshots, examples].
    """

    tokens: np.ndarray
    of: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Nearest:
    """Where one model is nearest to each predictor.

    nearest_tokens, least, final: predictor → tokens at the snapshot with the least divergence, that
    divergence, and the one at the end of training, in nats. onset_tokens: of a change whose end is
    seen. unigrams_first, before_onset: share of the resamples in which the model is nearest to
    unigrams before it is nearest to bigrams, and to bigrams before its onset; None without one.
    """

    model: str
    nearest_tokens: dict[str, float]
    least: dict[str, float]
    final: dict[str, float]
    onset_tokens: float | None
    unigrams_first: float
    before_onset: float | None


@dataclass(frozen=True)
class BigramStage:
    """asked: plain models with a change whose end is seen. beside: plain one-layer models without
    a change, which decide nothing."""

    outcome: Outcome
    asked: tuple[Nearest, ...]
    beside: tuple[Nearest, ...]


def load_divergences(paths: StudyPaths, model: str) -> Divergences:
    """Read and verify what stage ngrams wrote of a model. Raises StudyError for what is wrong."""
    verify_folder(paths.ngrams(model))
    arrays = read_arrays(paths.ngrams(model) / "losses.npz", ("step", "tokens"))
    of = {name: own for name, own in arrays.items() if name not in ("step", "tokens")}
    return Divergences(arrays["tokens"], of)


def bigram_stage(
    summaries: Sequence[ModelSummary], divergences: Mapping[str, Divergences], seed: int
) -> BigramStage:
    """Ask every plain model of ours that has a change, and one-layer models beside them."""
    ours = [s for s in summaries if isinstance(s.entry, Model) and s.entry.plain]
    changed = [s for s in ours if s.change and s.change.complete]
    flat = [s for s in ours if not s.change and s.entry.n_layers == 1]
    asked = tuple(_nearest(s, divergences[s.name], seed) for s in changed)
    beside = tuple(_nearest(s, divergences[s.name], seed) for s in flat)
    return BigramStage(decide(asked), asked, beside)


def decide(asked: Sequence[Nearest]) -> Outcome:
    """The outcome by the rule."""
    if not asked:
        return "not tested"
    shares = [share for n in asked for share in (n.unigrams_first, n.before_onset or 0.0)]
    if all(share >= SURE for share in shares):
        return "supported"
    return "not supported" if any(share <= 1 - SURE for share in shares) else "inconclusive"


def _nearest(summary: ModelSummary, divergences: Divergences, seed: int) -> Nearest:
    tokens, random = divergences.tokens, np.random.default_rng(seed)
    means = {name: values.mean(axis=1) for name, values in divergences.of.items()}
    onset = summary.onset_tokens
    n_examples = divergences.of["bigram"].shape[1]
    first, before = [], []
    for _ in range(_RESAMPLES):
        drawn = np.bincount(random.integers(n_examples, size=n_examples), minlength=n_examples)
        unigrams, bigrams = (int((divergences.of[n] @ drawn).argmin()) for n in _COMPARED)
        first.append(unigrams < bigrams)
        before.append(onset is not None and tokens[bigrams] < onset)
    return Nearest(
        model=summary.name,
        nearest_tokens={name: float(tokens[each.argmin()]) for name, each in means.items()},
        least={name: float(each.min()) for name, each in means.items()},
        final={name: float(each[-1]) for name, each in means.items()},
        onset_tokens=onset,
        unigrams_first=float(np.mean(first)),
        before_onset=None if onset is None else float(np.mean(before)),
    )
