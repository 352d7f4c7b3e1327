"""Argument 4: the heads that copy random tokens do more abstract things in larger models."""

from collections.abc import Sequence

from induction.config import Verdicts as Thresholds
from induction.study.summary import ModelSummary
from induction.study.verdicts.verdict import Verdict


def generality(_summaries: Sequence[ModelSummary], _thresholds: Thresholds) -> Verdict:
    """Never tested by this zoo: the paper's evidence is single heads of models with billions of
    parameters that translate and match patterns, which models of this size do not do."""
    return Verdict(
        argument=4,
        title="Generality",
        claim="Heads that are found by how they copy random tokens also do more abstract "
        "in-context learning in larger models: they translate, and match patterns of categories.",
        rule="Of the heads that match prefixes and copy on random tokens, some would have to "
        "attend to the right earlier place in a task without literal repetition, and the model "
        "would have to do that task above chance. Models of this size do no such task.",
        evidence="plausibility",
        paper_strength="plausibility, for large models only",
        would_change="Measurements of larger models: induction heads that serve translation or "
        "abstract patterns would support it, others doing that work would not.",
        outcome="not tested",
        checks=(),
    )
