"""A frozen, typed mirror of `params.yaml`, and the only reader of it.

Every value that a result depends on stands in `params.yaml`, where DVC sees it: that is why stages
depend on parameters and not on this package. Defaults are for what a model's entry may leave out
and for files older than a key; they change nothing, and must never change themselves.
"""

from induction.config.loading import external_config, load_config, model_config
from induction.config.models import Clamp, ExternalModel, Model
from induction.config.sections import (
    RESOURCE_GROUPS,
    Behaviours,
    Compute,
    Dataset,
    Evaluation,
    Explorer,
    HeadKinds,
    Llc,
    PhaseChange,
    Resources,
    Snapshots,
    Steering,
    StudyConfig,
    Train,
    Verdicts,
)
from induction.config.types import ModelName

__all__ = [
    "RESOURCE_GROUPS",
    "Behaviours",
    "Clamp",
    "Compute",
    "Dataset",
    "Evaluation",
    "Explorer",
    "ExternalModel",
    "HeadKinds",
    "Llc",
    "Model",
    "ModelName",
    "PhaseChange",
    "Resources",
    "Snapshots",
    "Steering",
    "StudyConfig",
    "Train",
    "Verdicts",
    "external_config",
    "load_config",
    "model_config",
]
