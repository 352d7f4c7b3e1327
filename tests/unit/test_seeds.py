"""Kinds of model, and what the report says of their seeds."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from made_summary import CONFIG, made_results, model

from induction.config import load_config
from induction.paths import find_study
from induction.report import seeds
from induction.report.figures.seeds import by_kind, draw_seeds, twins
from induction.report.results import Results
from induction.study.kinds import find_kinds, kind_label, seeds_asked
from induction.study.verdicts import Check, Verdict

TWO = CONFIG.models["attn-2l"]
ZOO = {
    "one": CONFIG.models["attn-1l"],
    "two": TWO,
    "two-b": TWO.model_copy(update={"seed": 7}),
    "longer": TWO.model_copy(update={"tokens": 2 * TWO.tokens, "seed": 7}),
    "two-c": TWO.model_copy(update={"seed": 8}),
}


def results(models: dict[str, Any], **onsets: float | None) -> Results:
    found = [
        replace(
            model(name, 2, onsets.get(name.replace("-", "_"))),
            icl_score=-0.1 * number,
            attribution=None,
        )
        for number, name in enumerate(models)
    ]
    return made_results(*found, config=SimpleNamespace(models=models, studied=models))


def test_a_kind_is_what_differs_in_its_seed_alone():
    assert find_kinds(ZOO) == {
        "one": ("one",),
        "two": ("two", "two-b", "two-c"),
        "longer": ("longer",),
    }


def test_models_of_others_are_kinds_by_themselves():
    pretrained = load_config(find_study().root / "params/pretrained.yaml").external
    (entry,) = pretrained.values()
    assert find_kinds({"a": entry, "b": entry}) == {"a": ("a",), "b": ("b",)}


def test_seeds_are_counted_by_kind_among_the_models_asked():
    kinds = find_kinds(ZOO)
    assert seeds_asked(kinds, ["two", "two-c", "two"]) == (2, 2)
    assert seeds_asked(kinds, ["one", "two", "two-b", "two-c"]) == (1, 3)
    assert seeds_asked(kinds, []) is None


def test_the_table_has_a_row_for_each_kind_with_several_seeds():
    found = seeds.spread(results(ZOO, two=1e6, two_c=3e6, longer=9e6))
    (row,) = [line for line in found.splitlines() if "`" in line]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[:4] == ["`two`", "3", "2", "2M (1M to 3M)"]
    assert cells[4] == "−0.20 (−0.40 to −0.10)"
    assert cells[-1] == "–"


def test_without_a_second_seed_it_is_said_that_nothing_is_known():
    alone = {name: ZOO[name] for name in ("one", "longer")}
    assert seeds.spread_if_any(results(alone)).startswith("Every kind of model has one seed here")
    some = seeds.spread_if_any(results(ZOO))
    assert "Of 3 kinds of model, 1 has several seeds" in some
    assert "in their initial weights alone; the others have one. Below" in some
    repeated = {name: ZOO[name] for name in ("two", "two-b")}
    repeated |= {f"one-{seed}": ZOO["one"].model_copy(update={"seed": seed}) for seed in (1, 2)}
    every = seeds.spread_if_any(results(repeated))
    assert "Of 2 kinds of model, 2 have several seeds" in every
    assert "in their initial weights alone. Below" in every


def test_a_verdict_tells_on_how_many_seeds_it_rests():
    def asked(*models: str) -> str:
        check = Check("other heads do not", "", models, {}, True)
        checks = (check,) if models else ()
        verdict = Verdict(3, "", "causal", {}, "supported", checks)
        return seeds.of_verdict(results(ZOO), verdict)

    assert [asked(), asked("two"), asked("two", "two-b"), asked("one", "two", "two-b")] == [
        "–",
        "1",
        "2",
        "1 to 2",
    ]


def test_a_kind_is_called_what_its_seeds_have_in_common():
    assert kind_label(["attn-2l-s10", "attn-2l-s11"]) == "attn-2l"
    assert kind_label(["attn-2l", "attn-2l-s1"]) == "attn-2l"
    assert kind_label(["attn-1l-s10", "attn-1l-s19"]) == "attn-1l"
    assert kind_label(["attn-2l-s10"]) == "attn-2l-s10"
    assert kind_label(["one", "two"]) == "one"


def test_figures_group_seeds_and_draw_each_beside_their_median():
    found = results(ZOO)
    tokens = np.array([0, 10, 100])
    curves = {
        name: SimpleNamespace(tokens=tokens, loss=np.array([9.0, place, 2.0 * place]))
        for place, name in enumerate(ZOO)
    }
    vars(found)["curves"] = curves
    assert by_kind(found, ["two-b", "one", "two"]) == {"two-b": ["two-b", "two"], "one": ["one"]}
    assert twins(found, "two") == ["two-b", "two-c"]
    assert twins(found, "one") == []
    _, axes = plt.subplots()
    seeds_of_two = ["two", "two-b", "two-c"]
    end = draw_seeds(axes, found, seeds_of_two, lambda curves: curves.loss)
    assert end == (100.0, 2.0 * 2)
    *thin, thick = axes.lines
    assert len(thin) == 3
    assert [np.asarray(line.get_ydata()).tolist() for line in thin] == [
        [1.0, 2.0],
        [2.0, 4.0],
        [4.0, 8.0],
    ]
    assert np.asarray(thick.get_ydata()).tolist() == [2.0, 4.0]
    assert all(line.get_linewidth() < thick.get_linewidth() for line in thin)
    _, alone = plt.subplots()
    draw_seeds(alone, found, ["one"], lambda curves: curves.loss)
    assert len(alone.lines) == 1
    plt.close("all")
