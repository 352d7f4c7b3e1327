"""Models with modified training: their data, their targets, and the rules about them."""

# pyright: reportUnhashable=false
# A frozen model of pydantic can be a key, which its types do not say.

from collections.abc import Sequence
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from made_summary import made_results, model

from induction.config import Model
from induction.data.copyable import copyable
from induction.data.tokens import START_TOKEN
from induction.report import experiments as report
from induction.report.figures import experiments as figures
from induction.study.beyond import Beyond
from induction.study.beyond.batch import SAME, batch_law, slope
from induction.study.beyond.bigrams import BigramStage
from induction.study.beyond.bottleneck import bottleneck
from induction.study.beyond.bottleneck import decide as decide_bottleneck
from induction.study.beyond.context import context_law
from induction.study.beyond.control import Control
from induction.study.beyond.experiments import Group, Trained, Zoo, find_zoo
from induction.study.beyond.foresight import Foresight
from induction.study.beyond.hapax import is_it_copying
from induction.study.beyond.llc import Geometry
from induction.study.beyond.repetition import repetition
from induction.train.loop import batches
from induction.train.process_group import ProcessGroup
from induction.train.repeats import SEGMENT, Repeats
from induction.train.targets import targets

BASE = Model(n_layers=2, attn_only=True, tokens=6_000_000, seed=0)
USUAL = 2048


# What the training sees


def test_a_target_is_copyable_when_its_pair_stood_before():
    window = torch.tensor([[1, 2, 3, 1, 2, 4, 1, 2]])
    assert copyable(window).tolist() == [[False, False, False, True, False, False, True]]


def test_as_many_random_targets_are_left_out_of_each_window_as_are_copyable():
    windows = torch.from_numpy(np.random.default_rng(0).integers(0, 6, size=(5, 41)))
    kept, chosen = targets("uncopyable", 0), targets("random", 0)
    assert targets("all", 0) is None
    assert kept
    assert chosen
    assert (kept(windows) == ~copyable(windows)).all()
    assert chosen(windows).sum(dim=1).tolist() == kept(windows).sum(dim=1).tolist()
    assert (chosen(windows) != kept(windows)).any()
    # By the window alone: shared by two processes, it is the same.
    assert (torch.cat([chosen(windows[:2]), chosen(windows[2:])]) == chosen(windows)).all()
    other = targets("random", 1)
    assert other
    assert (other(windows) != chosen(windows)).any()


def test_segments_stand_twice_in_as_many_windows_as_are_asked_for():
    windows = np.arange(1, 101)[None].repeat(400, axis=0)
    repeats = Repeats(0.5, False, steps=10, seed=0)
    for step, share in ((0, 0.5), (5, 0.25), (9, 0.05)):
        written = repeats.write(windows, step, 0, 400)
        assert (written != windows).any(axis=1).mean() == pytest.approx(share, abs=0.08)
    written = repeats.write(windows, 0, 0, 400)
    backwards = replace(repeats, in_reverse=True).write(windows, 0, 0, 400)
    assert (windows == np.arange(1, 101)).all()
    for row, reverse in zip(written, backwards, strict=True):
        assert row.shape == (100,)
        if not (row == START_TOKEN).any():
            assert (row == reverse).all()
            continue
        (place,) = np.flatnonzero(row == START_TOKEN)
        segment, again = row[place - SEGMENT : place], slice(place + 1, place + 1 + SEGMENT)
        assert (row[again] == segment).all()
        assert (reverse[again] == segment[::-1]).all()
        assert (row[place + 1 + SEGMENT :] == windows[0, place + 1 + SEGMENT :]).all()


def test_processes_that_share_a_batch_see_the_same_segments():
    tokens = np.random.default_rng(0).integers(1, 60, size=4000).astype(np.uint16)
    starts, repeats = np.arange(0, 3000, 100), Repeats(0.6, False, steps=3, seed=1)
    whole = next(batches(tokens, starts, 100, 4, repeats=repeats))
    halves = [
        next(batches(tokens, starts, 100, 4, processes=ProcessGroup(rank, 2), repeats=repeats))
        for rank in range(2)
    ]
    assert (torch.cat(halves) == whole).all()
    assert (whole != next(batches(tokens, starts, 100, 4))).any()


# The rules


def seeds(
    onsets: Sequence[float | None],
    *,
    uncopyable: float | None = -0.2,
    removed: float = 0.8,
    heads: float = 1.2,
) -> tuple[Trained, ...]:
    return tuple(
        Trained(
            name=f"m-s{seed}",
            seed=seed,
            changed=onset is not None,
            onset_tokens=onset,
            heads_formed_tokens=onset and onset * heads,
            icl_score=-0.5,
            uncopyable_icl=uncopyable and uncopyable * (1 + 0.01 * seed),
            removed_share=removed + 0.01 * seed,
            max_previous_token=0.7,
        )
        for seed, onset in enumerate(onsets)
    )


def kind(**changes: object) -> Model:
    return BASE.model_copy(update=changes)


def around(tokens: float) -> list[float | None]:
    return [tokens * factor for factor in (0.97, 1.0, 1.03)]


def without_a_seed(zoo: Zoo, field: str) -> Zoo:
    """With a seed of one kind of experiment twice in place of its last."""
    short = next(k for k in reversed(list(zoo)) if field in k.experiment)
    first, second, _ = zoo[short]
    return {**zoo, short: (first, second, second)}


def batch_zoo(power: float, scaled_power: float | None = None) -> Zoo:
    zoo = {BASE: seeds(around(3e6))}
    for batch in (512, 1024, 4096, 8192):
        for factor, exponent in ((1.0, power), ((batch / USUAL) ** 0.5, scaled_power or power)):
            own = kind(batch_tokens=batch, rate_factor=factor, tokens=9_000_000)
            zoo[own] = seeds(around(3e6 * (batch / USUAL) ** exponent))
    return zoo


def test_the_slope_on_the_batch_is_found_with_its_interval():
    found = slope([1, 10, 100], [[0.0, 0.1], [1.1, 1.2], [2.3, 2.4]])
    assert found
    assert found.low < found.value < found.high
    assert found.value == pytest.approx(1.15 / np.log(10), rel=0.01)
    assert slope([1, 10, 100], [[0.0], None, [1.0]]) is None


@pytest.mark.parametrize(
    ("zoo", "outcome"),
    [
        (batch_zoo(0.5), "supported"),
        (batch_zoo(0.1), "not supported"),
        (batch_zoo(1.0), "not supported"),
        (batch_zoo(0.1, 0.5), "inconclusive"),
        ({BASE: seeds(around(3e6))}, "not tested"),
        (without_a_seed(batch_zoo(0.5), "batch_tokens"), "not tested"),
        ({**batch_zoo(0.5), kind(batch_tokens=8192, tokens=9_000_000): seeds([None] * 3)}, None),
    ],
)
def test_the_rule_about_the_batch(zoo, outcome):
    found = batch_law(zoo, USUAL)
    assert found.outcome == (outcome or "inconclusive")
    if found.series:
        assert found.series[0].name == SAME
        assert found.series[0].sizes == (512, 1024, 2048, 4096, 8192)


def at_contexts(power: float) -> dict[int, Group]:
    return {size: Group("", seeds(around(3e6 * (size / 256) ** power))) for size in (128, 256, 512)}


@pytest.mark.parametrize(
    ("contexts", "outcome"),
    [
        (at_contexts(0.5), "supported"),
        (at_contexts(0.0), "not supported"),
        (at_contexts(3.0), "not supported"),
        ({**at_contexts(0.5), 512: Group("", seeds([None] * 3))}, "inconclusive"),
        ({**at_contexts(0.5), 512: Group("", seeds([3e6, 3e6]))}, "not tested"),
        ({size: group for size, group in at_contexts(0.5).items() if size < 512}, "not tested"),
    ],
)
def test_the_rule_about_the_context(contexts, outcome):
    assert context_law(contexts, {}).outcome == outcome


def test_a_context_is_set_against_as_long_a_batch():
    found = context_law(at_contexts(0.5), {512: Group("", seeds(around(3e6)))})
    difference = found.against_batch[512]
    assert difference
    assert difference.value == pytest.approx(0.5 * np.log(2))
    assert difference.low < difference.value < difference.high


def hapax_zoo(
    masked: Sequence[float | None], uncopyable: float | None, random: list | None = None
) -> Zoo:
    return {
        BASE: seeds(around(3e6)),
        kind(trained_on="uncopyable"): seeds(masked, uncopyable=uncopyable),
        kind(trained_on="random"): seeds(random or around(3.2e6)),
    }


@pytest.mark.parametrize(
    ("zoo", "outcome"),
    [
        (hapax_zoo([None] * 3, -0.2), "supported"),
        (hapax_zoo([None, 5e6, None], -0.2), "not supported"),
        (hapax_zoo([None] * 3, -0.1), "not supported"),
        (hapax_zoo([None] * 3, -0.3), "not supported"),
        (hapax_zoo([None] * 3, -0.182), "inconclusive"),
        (hapax_zoo([None] * 3, -0.2, [None] * 3), "inconclusive"),
        (hapax_zoo([None] * 3, None), "inconclusive"),
        (without_a_seed(hapax_zoo([None] * 3, -0.2), "trained_on"), "not tested"),
        ({BASE: seeds(around(3e6))}, "not tested"),
    ],
)
def test_the_rule_about_copying(zoo, outcome):
    assert is_it_copying(zoo).outcome == outcome


def test_architectures_that_disagree_about_copying_decide_nothing():
    other = hapax_zoo([5e6] * 3, -0.2)
    deeper = {k.model_copy(update={"attn_only": False}): v for k, v in other.items()}
    assert is_it_copying({**hapax_zoo([None] * 3, -0.2), **deeper}).outcome == "inconclusive"


def clamp_zoo(previous: Sequence[float | None], induction: Sequence[float | None]) -> Zoo:
    return {
        BASE: seeds(around(3e6)),
        kind(clamp="previous-token"): seeds(previous),
        kind(clamp="induction"): seeds(induction),
        kind(clamp="both"): seeds(around(1e6)),
        kind(clamp="forbidden"): seeds([None] * 3),
    }


@pytest.mark.parametrize(
    ("previous", "induction", "outcome", "part"),
    [
        (around(2.9e6), around(1e6), "supported", "induction"),
        (around(1e6), [None] * 3, "supported", "previous-token"),
        (around(1e6), around(1e6), "inconclusive", None),
        (around(2.9e6), around(2.5e6), "not supported", None),
        (around(2.9e6), [1e6, 1e6, 2.9e6], "inconclusive", None),
    ],
)
def test_the_rule_about_the_bottleneck(previous, induction, outcome, part):
    found = bottleneck(clamp_zoo(previous, induction))
    assert (found.outcome, found.found) == (outcome, part)
    both = next(each for each in found.clamped if each.clamp == "both")
    assert both.advances == pytest.approx([np.log(3)] * 3)
    assert decide_bottleneck({c.clamp: c.early for c in found.clamped})[0] == outcome
    assert bottleneck({BASE: seeds(around(3e6))}).outcome == "not tested"
    assert bottleneck(without_a_seed(clamp_zoo(previous, induction), "clamp")).outcome == (
        "not tested"
    )
    late = {**clamp_zoo(previous, induction), BASE: seeds([3e6, None, 3e6])}
    assert bottleneck(late).outcome == "inconclusive"


def repeat_zoo(onset: float, removed: float, reverse: float | None, left: float = 0.8) -> Zoo:
    return {
        BASE: seeds(around(3e6)),
        kind(repeated_share=0.1): seeds(around(3e6)),
        kind(repeated_share=0.5): seeds(around(onset), removed=removed),
        kind(repeated_share=0.5, repeated="reversed"): seeds(
            around(reverse) if reverse else [None] * 3, removed=left
        ),
    }


@pytest.mark.parametrize(
    ("zoo", "outcome"),
    [
        (repeat_zoo(1.5e6, 0.5, 3e6), "supported"),
        (repeat_zoo(1.5e6, 0.5, 1.5e6), "inconclusive"),
        (repeat_zoo(1.5e6, 0.5, 3e6, 0.5), "inconclusive"),
        (repeat_zoo(1.5e6, 0.8, 3e6), "inconclusive"),
        (repeat_zoo(2.9e6, 0.5, 3e6), "not supported"),
        (repeat_zoo(1.5e6, 0.99, 3e6), "not supported"),
        (without_a_seed(repeat_zoo(1.5e6, 0.5, 3e6), "repeated_share"), "not tested"),
        (repeat_zoo(1.5e6, 0.5, None), "inconclusive"),
        ({BASE: seeds(around(3e6))}, "not tested"),
    ],
)
def test_the_rule_about_repetition(zoo, outcome):
    assert repetition(zoo).outcome == outcome


def test_kinds_are_found_by_what_is_done_to_them():
    def named(name: str, seed: int, **changes: object):
        entry = BASE.model_copy(update={"seed": seed, **changes})
        return replace(model(name, 2, 3e6), entry=entry)

    class Known:
        uncopyable = np.array([[4.0, 3.9], [3.5, 3.2]])

    models = [
        *(named(f"a{seed}", seed) for seed in range(3)),
        *(named(f"b{seed}", seed, clamp="both") for seed in range(3)),
        *(named(f"c{seed}", seed, clamp="induction") for seed in range(2)),
        *(named(f"d{seed}", seed, optimizer="adamw") for seed in range(3)),
    ]
    zoo = find_zoo(models, dict.fromkeys((m.name for m in models), Known()))  # pyright: ignore
    assert list(zoo) == [BASE, kind(clamp="both"), kind(clamp="induction")]
    assert zoo[BASE][1].uncopyable_icl == pytest.approx(-0.3)


# What the report shows


class Curve:
    def __init__(self, onset: float):
        self.tokens = np.array([0, 1e5, 1e6, 1e7])
        self.icl_score = np.array([0.0, -0.1, -0.2 - onset / 1e8, -0.5])
        self.uncopyable = np.stack([np.full(4, 3.0), np.linspace(3.0, 2.8, 4)], axis=1)


def test_tables_and_figure_of_a_run_with_experiments_and_of_one_without():
    def beyond(zoo: Zoo) -> Beyond:
        return Beyond(
            BigramStage("not tested", (), ()),
            Foresight("not tested", 0, 0),
            Control("not tested", (), {}),
            Geometry("not tested"),
            batch_law(zoo, USUAL),
            is_it_copying(zoo),
            bottleneck(zoo),
            repetition(zoo),
        )

    zoo = {
        **batch_zoo(0.5),
        **hapax_zoo([None] * 3, -0.2),
        **clamp_zoo(around(2.9e6), around(1e6)),
        **repeat_zoo(1.5e6, 0.5, 3e6),
    }
    whole = made_results(
        beyond=beyond(zoo), experiments={f"m-s{seed}": Curve(seed) for seed in range(3)}
    )
    sections = (report.batch, report.copying, report.bottleneck, report.repetition)
    for section in sections:
        assert "**Verdict: supported**" in section(whole)
    assert "The part: induction attention." in report.bottleneck(whole)
    assert "| none, none, none |" in report.copying(whole)
    assert figures.icl_score_table(whole).columns[:3] == ["panel", "done", "model"]
    figure = figures.icl_scores(whole)
    assert len(figure.axes) == 5
    plt.close(figure)

    nothing = made_results(beyond=beyond({BASE: seeds(around(3e6))}), experiments={})
    for section in sections:
        assert section(nothing).startswith("**Verdict: not tested**. This run lacks models")
    assert figures.icl_score_table(nothing).is_empty()
    plt.close(figures.icl_scores(nothing))
