"""The rule on heads as a handle: every branch, on made numbers."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest
from made_summary import CONFIG
from refusals import message_of

from induction.files import published_folder, read_record, write_record
from induction.paths import StudyPaths
from induction.steer.measures import SCHEMA
from induction.study.beyond.control import Control, ModelControl, judge_control
from induction.study.beyond.steering import Steered, load_steered, mean_of

N = 64
RULE = CONFIG.verdicts
COPYING = {0.0: 0.2, 0.5: 0.4, 1.0: 0.6, 1.5: 0.8, 2.0: 0.7}
OTHERS = {0.0: 0.6, 0.5: 0.6, 1.0: 0.6, 1.5: 0.6, 2.0: 0.6}
FEW_SHOT = {0.0: 0.5, 0.5: 0.5, 1.0: 0.5, 1.5: 0.5, 2.0: 0.5}
LOSS = {0.0: 3.4, 0.5: 3.1, 1.0: 3.0, 1.5: 3.2, 2.0: 3.9}


def made(*given: Any, **more: Any) -> Steered:
    return Steered(made_table(*given, **more))


def made_table(
    copying: Mapping[float, float] = COPYING,
    others: Mapping[float, float] = OTHERS,
    few_shot: Mapping[float, float] | None = FEW_SHOT,
    noise: float = 0.0,
) -> pl.DataFrame:
    """A model with these means at each scale; noise: standard deviation over samples."""
    given = {
        "literal copying": (copying, others, "random", 0.1),
        "few-shot": (few_shot or {}, FEW_SHOT, "natural, 16 shots", 0.5),
        "loss": (LOSS, LOSS, "", None),
        "repetition": (dict.fromkeys(LOSS, 0.3), dict.fromkeys(LOSS, 0.3), "", None),
    }
    random = np.random.default_rng(0)
    rows = []
    for measure, (own, control, variant, chance) in given.items():
        for heads, means in (("induction", own), ("random", control)):
            for scale, mean in means.items():
                if not own or (scale == 1 and heads == "random"):
                    continue
                spread = random.normal(size=N)
                values = mean + noise * (spread - spread.mean()) / spread.std(ddof=1)
                about = {"measure": measure, "variant": variant, "chance": chance, "draw": 0}
                about |= {"heads": "none" if scale == 1 else heads, "scale": scale}
                rows += [{**about, "example": n, "value": v} for n, v in enumerate(values)]
    text = {"measure": "repetition", "variant": "", "heads": "text", "draw": 0, "scale": 1.0}
    rows += [{**text, "example": n, "value": 0.25} for n in range(N)]
    return pl.DataFrame(rows, schema=SCHEMA)


def judged(own: Steered) -> ModelControl:
    return judge_control({"m": own}, ["m"], RULE).models["m"]


def held(found: ModelControl) -> dict[str, bool | None]:
    return {condition.kind: condition.held for condition in found.conditions}


def test_a_handle_is_supported_and_its_best_point_told():
    found = judged(made())
    assert found.outcome == "supported"
    assert list(held(found)) == ["falls", "halved", "more than others", "rises"]
    assert found.prompts == N
    assert found.best
    assert found.best.scale == 1.5
    assert found.best.cost.mean == pytest.approx(0.2)


def test_the_curves_have_every_measure_of_both_sets_of_heads():
    curves = made().curves()
    assert len(curves) == 4 * 2 * 5
    [row] = curves.filter(measure="literal copying", heads="induction", scale=2.0).rows(named=True)
    assert (row["value"], row["change"], row["real"]) == (
        pytest.approx(0.7),
        pytest.approx(0.1),
        None,
    )
    assert set(curves.filter(measure="repetition")["real"]) == {0.25}
    same = curves.filter(scale=1.0).select("measure", "value", "change").unique()
    assert len(same) == 4
    assert set(same["change"]) == {0.0}
    none = Steered(pl.DataFrame(schema=SCHEMA)).curves()
    assert (len(none), none.schema) == (0, curves.schema)


@pytest.mark.parametrize(
    ("own", "kind", "says"),
    [
        (made({**COPYING, 0.5: 0.7}), "falls", False),
        (made({**COPYING, 0.5: 0.61}, noise=0.3), "falls", None),
        (made({**COPYING, 0.5: 0.6}), "falls", True),
        (made({**COPYING, 0.0: 0.5}), "halved", False),
        (made({**COPYING, 0.0: 0.35}, noise=0.3), "halved", None),
        (made({**COPYING, 0.0: 0.35}), "halved", True),
        (made(others={**OTHERS, 0.0: 0.1}), "more than others", False),
        (made(others={**OTHERS, 0.0: 0.21}, noise=0.3), "more than others", None),
        (made({**COPYING, 1.5: 0.6, 2.0: 0.1}), "rises", False),
        (made({**COPYING, 1.5: 0.65, 2.0: 0.1}, noise=0.3), "rises", None),
        (made(others={**OTHERS, 1.5: 0.9, 2.0: 0.9}), "rises", False),  # others do so too
        (made({**COPYING, 1.5: 0.1, 2.0: 0.1}, few_shot={**FEW_SHOT, 2.0: 0.7}), "rises", True),
    ],
)
def test_every_condition_can_hold_fail_and_stay_open(own, kind, says):
    found = judged(own)
    assert held(found)[kind] is says
    if says is False:
        assert found.outcome == "not supported"
    if says is None:
        assert found.outcome in ("inconclusive", "not supported")


def test_a_task_without_room_is_not_asked_to_rise():
    high = {0.0: 0.2, 0.5: 0.5, 1.0: 0.95, 1.5: 0.95, 2.0: 0.95}
    found = judged(made(high, few_shot=None))
    assert held(found)["rises"] is None
    assert found.conditions[-1].where == "no task has room to rise"
    assert found.outcome == "inconclusive"
    found = judged(made(high))
    assert held(found)["rises"] is False  # few-shot has room, and does not rise


def test_an_open_condition_is_inconclusive_and_a_failed_one_decides():
    found = judged(made({**COPYING, 0.0: 0.3, 0.5: 0.31, 1.5: 0.65, 2.0: 0.62}, noise=0.25))
    assert {c.held for c in found.conditions} >= {None}
    assert False not in {c.held for c in found.conditions}
    assert found.outcome == "inconclusive"
    found = judged(made({**COPYING, 0.0: 0.59, 1.5: 0.65, 2.0: 0.62}, noise=0.25))
    assert {c.held for c in found.conditions} >= {None, False}
    assert found.outcome == "not supported"


def test_more_looks_widen_the_intervals():
    samples = np.random.default_rng(0).normal(size=50)
    one, four = mean_of(samples), mean_of(samples, 4)
    error = samples.std(ddof=1) / 50**0.5
    assert one.high - one.mean == pytest.approx(1.959964 * error, rel=1e-6)
    assert four.high - four.mean == pytest.approx(2.497705 * error, rel=1e-6)


def test_models_that_cannot_be_asked_are_not_tested():
    nothing = judged(Steered(pl.DataFrame(schema=SCHEMA)))
    assert (nothing.outcome, nothing.conditions, nothing.best) == ("not tested", (), None)
    chance = judged(made({**dict.fromkeys(COPYING, 0.12)}))
    assert chance.outcome == "not tested"
    assert chance.best
    alone = Steered(made_table().filter(pl.col("heads") != "random"))
    assert judged(alone).outcome == "not tested"


def test_the_verdict_is_over_all_plain_models_that_are_tested(tmp_path):
    good, bad = made(), made({**COPYING, 0.0: 0.5})
    none = Steered(pl.DataFrame(schema=SCHEMA))

    def verdict(*models: Steered) -> tuple[str, tuple[str, ...]]:
        names = ("a", "b", "smeared")
        control = judge_control(dict(zip(names, models, strict=True)), names[:2], RULE)
        return control.outcome, control.tested

    assert verdict(good, none, bad) == ("supported", ("a",))
    assert verdict(good, bad, good) == ("not supported", ("a", "b"))
    assert verdict(none, none, good) == ("not tested", ())
    control = judge_control({"a": good, "b": none}, ["a", "b"], RULE)
    write_record(tmp_path / "control.json", Control, control)
    assert read_record(tmp_path / "control.json", Control) == control


def test_a_damaged_table_is_named(tmp_path):
    paths = StudyPaths(tmp_path)
    assert "steering" in str(message_of(lambda: load_steered(paths, "m")))
    with published_folder(paths.steering("m"), paths.scratch) as folder:
        pl.DataFrame(schema=SCHEMA).drop("scale").write_parquet(folder / "scaled.parquet")
    assert "has no column scale" in str(message_of(lambda: load_steered(paths, "m")))
