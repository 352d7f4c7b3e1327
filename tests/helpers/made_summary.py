"""Made models as the rules and the report see them: every number known."""

from collections.abc import Sequence
from typing import Any

from made_behaviours import COPYING

from induction.config import Model, load_config
from induction.paths import find_study
from induction.report.results import Results
from induction.rules.head_kinds import HeadKinds
from induction.rules.phase_change import PhaseChange
from induction.study.attribution import Attribution, Removed
from induction.study.behaviours import TaskResult
from induction.study.mechanism import Circuit
from induction.study.summary import ModelSummary

CONFIG = load_config(find_study().params)
REMOVED = Attribution(
    control="one",
    gain=0.7,
    heads=((1, 0),),
    induction=Removed(0.9, 0.8, 1.0),
    previous_token=Removed(0.95, 0.8, 1.1),
    random=(Removed(0.1, 0.0, 0.2), Removed(-0.1, -0.2, 0.0)),
)
CIRCUIT = Circuit((1, 0), 0.9, 0.95, (0, 2), 0.8, k=0.3, q=0.1, v=0.05)


def model(
    name: str,
    layers: int = 2,
    onset: float | None = None,
    *,
    smeared: bool = False,
    behaviours: Sequence[TaskResult] = (COPYING,),
) -> ModelSummary:
    """A model that changes at `onset`, and then has one induction head, or does neither."""
    change = PhaseChange(onset, (onset, onset * 1.4), 0.5, 1.0, 0.8, True) if onset else None
    return ModelSummary(
        name=name,
        entry=Model(
            n_layers=layers,
            attn_only=True,
            smeared_keys=smeared,
            optimizer="muon",
            tokens=8_000_000,
            seed=0,
        ),
        change=change,
        relative_change=change,
        icl_score=-0.8 if onset else -0.1,
        loss=3.0,
        max_prefix_matching=0.4 if onset else 0.02,
        max_previous_token=0.8,
        heads_formed_tokens=onset * 1.2 if onset else None,
        lag=None,
        bump=None,
        steepening=None,
        kinds=HeadKinds(((layers - 1, 0),) if onset else (), ()),
        circuits=(CIRCUIT,) if onset and layers > 1 else (),
        attribution=REMOVED if onset else None,
        behaviours=tuple(behaviours),
        intervals={},
    )


def made_results(*models: ModelSummary, **parts: Any) -> Results:
    """Results that hold only what is asked of them: these models, and what else is given."""
    found = object.__new__(Results)
    vars(found).update({"config": CONFIG, "models": {m.name: m for m in models}, **parts})
    return found
