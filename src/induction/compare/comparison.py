"""Two runs and everything in which they differ: what the page draws on."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from induction.compare import loss_space, origins, stages
from induction.compare.loss_space import CommonSpace, WhyNot
from induction.compare.origins import Fact
from induction.compare.stages import Outdated, Rerun
from induction.environment import Change
from induction.errors import StudyError
from induction.runs import metrics
from induction.runs.metrics import Row, SeedSpread
from induction.runs.parameters import Difference, differences
from induction.runs.run import Run, load_run

VARIABLES = ("INDUCTION_COMPARE_A", "INDUCTION_COMPARE_B")
"""Name the folders of the two runs to the cells of the page."""

_FEW = 3  # models whose curves make one figure; more get a figure for each quantity


@dataclass(frozen=True)
class VerdictChange:
    """One argument in both runs; None where a run does not judge it.

    checks: question and models of each check that held in one run and not in the other, with
    whether it held in A and in B.
    """

    argument: int
    title: str
    a: str | None
    b: str | None
    thresholds_differ: bool
    checks: tuple[tuple[str, tuple[str, ...], bool | None, bool | None], ...]

    @property
    def differs(self) -> bool:
        return self.a != self.b


@dataclass(frozen=True)
class Comparison:
    """Two runs side by side. What is by model stands in the order of B, then of A."""

    a: Run
    b: Run

    @cached_property
    def parameters(self) -> list[Difference]:
        """Keys that differ, without those of models that only one run has."""
        lost = (
            *(f"{self.a.key_of(name)}." for name in self.only_a),
            *(f"{self.b.key_of(name)}." for name in self.only_b),
        )
        return [
            found
            for found in differences(self.a.params, self.b.params)
            if not found.key.startswith(lost)
        ]

    @cached_property
    def models(self) -> list[str]:
        return list(dict.fromkeys([*self.b.entries, *self.a.entries]))

    @cached_property
    def only_a(self) -> list[str]:
        return [name for name in self.a.entries if name not in self.b.entries]

    @cached_property
    def only_b(self) -> list[str]:
        return [name for name in self.b.entries if name not in self.a.entries]

    @cached_property
    def reruns(self) -> list[Rerun]:
        return stages.reruns(self.a.stages, self.b.stages)

    @property
    def kept_stages(self) -> list[str]:
        """Those that are the same in both runs."""
        changed = {rerun.stage for rerun in self.reruns}
        return [stage for stage in self.b.stages if stage not in changed]

    @cached_property
    def rows(self) -> list[Row]:
        return metrics.rows(self.a, self.b)

    @cached_property
    def spreads(self) -> list[SeedSpread]:
        """What seeds alone do in either run; once where it is the same in both."""
        in_a, in_b = metrics.seed_spreads(self.a, "A"), metrics.seed_spreads(self.b, "B")
        twice = [(one, other) for one in in_a for other in in_b if _same_spread(one, other)]
        both = [SeedSpread("A and B", one.models, one.spreads) for one, _ in twice]
        known = [spread for pair in twice for spread in pair]
        return both + [spread for spread in (*in_a, *in_b) if spread not in known]

    @cached_property
    def changed_models(self) -> list[str]:
        """Models whose metrics, curves or parameters differ, or that only one run has."""
        changed = {row.model for row in self.rows if row.mark != "same"}
        changed |= {*self.only_a, *self.only_b}
        changed |= {name for name in self.models if not self._same_entry(name)}
        changed |= {name for name in self.models if not self._same_curves(name)}
        return [name for name in self.models if name in changed]

    @property
    def same_models(self) -> list[str]:
        return [name for name in self.models if name not in self.changed_models]

    def _same_entry(self, name: str) -> bool:
        return self.a.entries.get(name) == self.b.entries.get(name)

    def _same_curves(self, name: str) -> bool:
        """True too where one of the runs has no curves at all."""
        a, b = self.a.curves, self.b.curves
        if a is None or b is None:
            return True
        shared = [column for column in a.columns if column in b.columns]
        own = [curves.filter(pl.col("model") == name).select(shared) for curves in (a, b)]
        return own[0].equals(own[1])

    @cached_property
    def drawn_models(self) -> list[str]:
        """Models whose curves are not the same in both runs, as far as both have curves; without
        those that are known at one moment alone, which is no curve."""
        return [
            name
            for name in self.models
            if not self._same_curves(name)
            and max(run.trained(name).height for run in (self.a, self.b)) > 1
        ]

    @property
    def in_one_figure(self) -> bool:
        """The curves make one figure, a row for each model."""
        return 0 < len(self.drawn_models) <= _FEW

    @cached_property
    def verdicts(self) -> list[VerdictChange]:
        in_a = {verdict["argument"]: verdict for verdict in self.a.verdicts}
        in_b = {verdict["argument"]: verdict for verdict in self.b.verdicts}
        return [
            _verdict_change(in_a.get(argument), in_b.get(argument))
            for argument in sorted(in_a.keys() | in_b.keys())
        ]

    @property
    def changed_verdicts(self) -> list[VerdictChange]:
        return [verdict for verdict in self.verdicts if verdict.differs]

    @property
    def other_thresholds(self) -> list[str]:
        """The arguments whose rule had other thresholds."""
        return [str(verdict.argument) for verdict in self.verdicts if verdict.thresholds_differ]

    @property
    def judged(self) -> bool:
        """Both runs have verdicts."""
        return bool(self.a.verdicts and self.b.verdicts)

    @cached_property
    def facts(self) -> list[Fact]:
        return origins.facts(self.a, self.b)

    @cached_property
    def sources(self) -> list[Change]:
        return origins.source_changes(self.a, self.b)

    @cached_property
    def packages(self) -> list[Change]:
        return origins.package_changes(self.a, self.b)

    @cached_property
    def _space(self) -> CommonSpace | WhyNot:
        return loss_space.common_space(self.a, self.b)

    @property
    def space(self) -> CommonSpace | None:
        return self._space if isinstance(self._space, CommonSpace) else None

    @property
    def why_no_space(self) -> WhyNot | None:
        return None if isinstance(self._space, CommonSpace) else self._space

    @property
    def paths_differ(self) -> bool:
        """There is a common space, and not all models take the same path through it."""
        return self.space is not None and not self.space.alike >= {*self.space.a, *self.space.b}

    @property
    def identical(self) -> bool:
        """No parameter, metric, verdict, curve or stage differs."""
        changed = self.parameters or self.changed_models or self.reruns or self.only_a
        return not (changed or self.only_b or self.changed_verdicts)

    @cached_property
    def seed_alone(self) -> list[str]:
        """Models whose runs differ in nothing but the model's seed."""
        keys = {found.key for found in self.parameters}
        return [name for name in self.models if keys == {f"models.{name}.seed"}]

    @property
    def outdated(self) -> dict[str, Outdated]:
        """By run (A, B), what says that its results do not belong to its parameters."""
        found = {"A": stages.outdated(self.a), "B": stages.outdated(self.b)}
        return {name: reasons for name, reasons in found.items() if reasons}


def load_comparison() -> Comparison:
    """The two runs that the environment names; StudyError where it names none."""
    folders = [os.environ.get(name) for name in VARIABLES]
    if not all(folders):
        raise StudyError(f"{' and '.join(VARIABLES)} name no runs: use make compare A=… B=…")
    a, b = (load_run(Path(str(folder))) for folder in folders)
    return Comparison(a, b)


def _verdict_change(a: Mapping[str, Any] | None, b: Mapping[str, Any] | None) -> VerdictChange:
    verdict = b or a or {}
    checks = []
    if a and b:
        before = {(c["question"], tuple(c["models"])): c["held"] for c in a["checks"]}
        after = {(c["question"], tuple(c["models"])): c["held"] for c in b["checks"]}
        checks = [
            (question, models, before[question, models], held)
            for (question, models), held in after.items()
            if before.get((question, models), held) != held
        ]
    return VerdictChange(
        verdict["argument"],
        verdict["title"],
        a["outcome"] if a else None,
        b["outcome"] if b else None,
        bool(a and b and _thresholds(a, b) != _thresholds(b, a)),
        tuple(checks),
    )


def _thresholds(verdict: Mapping[str, Any], other: Mapping[str, Any]) -> Mapping[str, float]:
    """Those that its rule used; a run from before they were kept has its parameters to show."""
    return verdict.get("thresholds") or other.get("thresholds") or {}


def _same_spread(one: SeedSpread, other: SeedSpread) -> bool:
    return one.models == other.models and one.spreads == other.spreads
