"""How long after the onset of in-context learning the prefix-matching heads set in, or before.

Both onsets come from the same smoother and the same share of the peak slope. The onset of prefix
matching is where the best head's score, taken at each snapshot over all heads, begins to rise at
`band_fraction` or more of its fastest rise, in the stretch around it. The lag is the difference of
the onsets in ln(tokens): positive when the heads come later. (Paper, Argument 1, which says that
the two come together without a rule for either.)
"""

from dataclasses import dataclass

import numpy as np

from induction.config import PhaseChange as Rule
from induction.rules.phase_change import around_peak, find_phase_change, make_smoother


@dataclass(frozen=True)
class Lag:
    """ln(onset of prefix matching) − ln(onset of the ICL score), in e-folds of tokens.

    interval: 95 %, from a bootstrap; None when fewer than 95 % of the resamples have both onsets.
    sequences: over how many probe sequences the bootstrap drew for its prefix-matching side; with
    one, the interval holds the uncertainty of the ICL side alone.
    """

    icl_onset_tokens: float
    prefix_onset_tokens: float
    lag: float
    interval: tuple[float, float] | None
    sequences: int


def rise_onset(tokens: np.ndarray, score: np.ndarray, rule: Rule, min_score: float) -> float | None:
    """Tokens at which a score [snapshots] begins the stretch of its fastest rise.

    None with fewer than four snapshots from rule.min_tokens on, or a last score below min_score.
    """
    seen = tokens >= rule.min_tokens
    if seen.sum() < 4 or score[-1] < min_score:
        return None
    smoother = make_smoother(tokens[seen], rule.bandwidth)
    start, _ = around_peak(smoother.slope @ score[seen], rule.band_fraction)
    return float(np.exp(smoother.x[start]))


def find_lag(
    tokens: np.ndarray,
    icl: np.ndarray,
    prefix: np.ndarray,
    rule: Rule,
    min_score: float,
    resamples: int,
    seed: int,
) -> Lag | None:
    """The lag of one model, with its interval.

    tokens: [snapshots]. icl: [snapshots, examples], late minus early loss in nats. prefix:
    [snapshots, heads, sequences], prefix-matching scores of each probe sequence, or their mean
    over sequences as a single one. Examples and sequences are resampled, each among themselves.
    Returns None when either onset is missing: no phase change, or no head that ends at min_score.
    """
    n_examples, n_sequences = icl.shape[1], prefix.shape[2]
    onsets = _onsets(tokens, icl.mean(axis=1), prefix.mean(axis=2), rule, min_score)
    if onsets is None:
        return None
    random, lags = np.random.default_rng(seed), []
    for _ in range(resamples):
        drawn = random.integers(n_examples, size=n_examples)
        heads = prefix[:, :, random.integers(n_sequences, size=n_sequences)].mean(axis=2)
        again = _onsets(tokens, icl[:, drawn].mean(axis=1), heads, rule, min_score)
        if again:
            lags.append(np.log(again[1] / again[0]))
    interval = None
    if lags and len(lags) >= 0.95 * resamples:
        low, high = np.quantile(lags, [0.025, 0.975])
        interval = float(low), float(high)
    return Lag(*onsets, float(np.log(onsets[1] / onsets[0])), interval, n_sequences)


def _onsets(
    tokens: np.ndarray, icl: np.ndarray, heads: np.ndarray, rule: Rule, min_score: float
) -> tuple[float, float] | None:
    change = find_phase_change(tokens, icl, rule)
    rise = rise_onset(tokens, heads.max(axis=1), rule, min_score) if change else None
    return (change.onset_tokens, rise) if change and rise else None
