"""One model's training in a few numbers: the row of metrics.json."""

from dataclasses import dataclass

from induction.config import Model, StudyConfig
from induction.study.curves import Curves
from induction.study.phase_change import (
    PhaseChange,
    find_phase_change,
    first_crossing,
    onset_interval,
)

_RESAMPLES = 200


@dataclass(frozen=True)
class ModelSummary:
    """What the verdicts and the report need to know of one model.

    onset_interval: 95 %, bootstrap over evaluation examples, in tokens. icl_score, loss (nats),
    max_prefix_matching and max_previous_token (over all heads) are those of the last snapshot.
    heads_formed_tokens: when the best prefix-matching score first reached half of its final
    value; None when that final value is below verdicts.head_score.
    """

    name: str
    entry: Model
    trained_tokens: int
    change: PhaseChange | None
    onset_interval: tuple[float, float] | None
    icl_score: float
    loss: float
    max_prefix_matching: float
    max_previous_token: float
    heads_formed_tokens: float | None

    def metrics(self) -> dict:
        """The model's entry in metrics.json: whole tokens, nats and shares to four decimals."""
        change, interval = self.change, self.onset_interval
        formed = self.heads_formed_tokens
        return {
            "onset_tokens": round(change.onset_tokens) if change else None,
            "onset_interval_tokens": [round(end) for end in interval] if interval else None,
            "band_tokens": [round(end) for end in change.band_tokens] if change else None,
            "heads_formed_tokens": None if formed is None else round(formed),
            "icl_score": round(self.icl_score, 4),
            "loss": round(self.loss, 4),
            "max_prefix_matching": round(self.max_prefix_matching, 4),
            "max_previous_token": round(self.max_previous_token, 4),
        }


def summarize_model(name: str, curves: Curves, config: StudyConfig) -> ModelSummary:
    """Apply the rules to one model's curves."""
    rule, prefix = config.phase_change, curves.best_head("prefix_matching")
    change = find_phase_change(curves.tokens, curves.icl_score, rule)
    formed = prefix[-1] >= config.verdicts.head_score
    return ModelSummary(
        name=name,
        entry=config.models[name],
        trained_tokens=int(curves.tokens[-1]),
        change=change,
        onset_interval=onset_interval(
            curves.tokens, curves.early, curves.late, rule, _RESAMPLES, config.evaluation.seed
        )
        if change
        else None,
        icl_score=float(curves.icl_score[-1]),
        loss=float(curves.loss[-1]),
        max_prefix_matching=float(prefix[-1]),
        max_previous_token=float(curves.best_head("previous_token")[-1]),
        heads_formed_tokens=first_crossing(curves.tokens, prefix, prefix[-1] / 2)
        if formed
        else None,
    )
