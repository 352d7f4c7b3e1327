"""Tasks ask what they say and know their answers; models answer as theory says."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from built_models import D_VOCAB, N_CTX, induction_model, one_layer_model, random_model
from refusals import message_of

from induction.behave import BEHAVIOURS, fuzzy_copying, make_tasks
from induction.behave.conditions import INTACT, Condition, conditions, induction_places
from induction.behave.evaluator import Outcome, evaluate
from induction.behave.material import Material, drawable_tokens
from induction.behave.tables import LOOKS, SHOWN, rows
from induction.behave.task import Task, Untestable
from induction.behave.words import ANIMALS, COLOURS, FRUITS, MONTHS
from induction.config import Behaviours, load_config
from induction.data.tokenizer import train_tokenizer
from induction.errors import StudyError
from induction.files import published_folder
from induction.model import memory
from induction.model.hooks import Intervention
from induction.model.weights import Snapshot
from induction.paths import StudyPaths, find_study
from induction.study.behaviours import SHUFFLED, describe_behaviours, load_behaviours
from induction.study.behaviours import Behaviours as Tables

ROOT = Path(__file__).parents[2]
CONFIG = load_config(find_study().params)
SETTINGS = CONFIG.behaviours.model_copy(update={"examples": 12})
PAIRS = [
    *(("Search", "Rechercher"), ("Password", "Mot de passe"), ("Monday", "lundi")),
    *(("German", "Allemand"), ("Greek", "grec"), ("home", "accueil"), ("yes", "oui")),
    *(("red", "rouge"), ("blue", "bleu"), ("white", "blanc"), ("water", "eau"), ("Czech", "Czech")),
]
START, D_TEXT = 0, 900


@pytest.fixture(scope="module")
def material() -> Material:
    """From a tokenizer of this code, with a context that holds every task."""
    texts = [path.read_text() for path in sorted((ROOT / "src").rglob("*.py"))]
    tokenizer = train_tokenizer(texts, D_TEXT)
    stream = np.array([i for text in texts for i in tokenizer.encode(text).ids])
    ranked = np.argsort(np.bincount(stream, minlength=D_TEXT), kind="stable")
    return Material(
        encode=lambda text: tokenizer.encode(text).ids,
        texts=[tokenizer.decode([token]) for token in range(D_TEXT)],
        start=START,
        drawable=drawable_tokens(ranked[ranked != START], (0.0, 1.0)),
        windows=stream[: 40 * 200].reshape(40, 200),
        embedding=lambda: np.random.default_rng(0).normal(size=(D_TEXT, 16)),
        n_ctx=400,
        pairs=PAIRS,
    )


@pytest.fixture(scope="module")
def tasks(material) -> list[Task]:
    found = make_tasks(material, SETTINGS)
    assert not [task for task in found if isinstance(task, Untestable)]
    return [task for task in found if isinstance(task, Task)]


def of(tasks: list[Task], behaviour: str, variant: str) -> Task:
    [task] = [t for t in tasks if t.behaviour == behaviour and variant in t.variants]
    return task


def text_before(task: Task, material: Material, question: int) -> str:
    tokens = task.tokens[task.example[question], 1 : task.query[question] + 1].tolist()
    return "".join(material.texts[token] for token in tokens)


def rights(task: Task) -> list[list[int]]:
    """Right places of each question."""
    places: list[list[int]] = [[] for _ in task.query]
    for question, key in task.right:
        places[question].append(int(key))
    return places


def test_every_behaviour_has_a_task(tasks):
    assert {task.behaviour for task in tasks} == set(BEHAVIOURS)


def test_the_same_settings_give_the_same_tasks(material, tasks):
    again = [task for task in make_tasks(material, SETTINGS) if isinstance(task, Task)]
    for one, other in zip(tasks, again, strict=True):
        assert torch.equal(one.tokens, other.tokens)
        assert np.array_equal(one.candidates, other.candidates)
    other_seed = make_tasks(material, SETTINGS.model_copy(update={"seed": 1}))
    assert not torch.equal(tasks[0].tokens, other_seed[0].tokens)  # pyright: ignore


def test_a_behaviour_that_is_asked_alone_has_the_same_tasks(material, tasks):
    last = list(BEHAVIOURS)[-1]
    [alone] = make_tasks(material, SETTINGS, [last])
    assert torch.equal(alone.tokens, tasks[-1].tokens)  # pyright: ignore


def unshuffled(tasks: list[Task]) -> list[Task]:
    return [task for task in tasks if not any(SHUFFLED in name for name in task.variants)]


def test_answers_stand_where_they_are_asked_for(tasks):
    for task in unshuffled(tasks):
        answers = task.tokens[task.example, task.query + 1].numpy()
        assert np.array_equal(answers, task.target), task.behaviour


def test_candidates_are_different_and_hold_the_answer(tasks):
    for task in tasks:
        assert all(len(set(row)) == len(row) for row in task.candidates.tolist())
        assert (task.candidates == task.target[:, None]).any(axis=1).all()
        assert task.chance == 1 / task.candidates.shape[1]


def test_right_places_come_earlier_and_hold_the_answer(tasks):
    for task in tasks:
        question, key = task.right.T
        assert (key <= task.query[question]).all()
        there = task.tokens[task.example[question], key].numpy()
        if task.behaviour != "translation":
            assert np.array_equal(there, task.target[question]), task.behaviour


def test_wrong_places_hold_other_candidates(tasks):
    for task in tasks:
        question, key = task.wrong.T
        there = task.tokens[task.example[question], key].numpy()
        assert (key <= task.query[question]).all()
        assert not set(map(tuple, task.right.tolist())) & set(map(tuple, task.wrong.tolist()))
        assert bool(len(task.wrong)) == (task.behaviour != "literal copying")
        if task.behaviour in ("[A][B][C] matching", "abstract patterns", "few-shot"):
            assert (there != task.target[question]).all()
            assert (task.candidates[question] == there[:, None]).any(axis=1).all()


def test_every_question_but_those_without_shots_has_a_right_place(tasks):
    for task in unshuffled(tasks):
        if "text" in task.variants:  # what a text repeats is its own affair the first time
            continue
        for question, places in enumerate(rights(task)):
            name = list(task.variants)[task.variant[question]]
            alone = re.search(r", [0124] shot", name)
            assert places or alone, (task.behaviour, name)


def test_random_passages_are_copied_once_at_varying_lags(tasks):
    task = of(tasks, "literal copying", "random")
    assert len(task.query) == SETTINGS.examples * (SETTINGS.segment - 1)
    lags = {int(q + 1 - p) for q, [p] in zip(task.query, rights(task), strict=True)}
    low, high = SETTINGS.gap
    assert min(lags) >= SETTINGS.segment + low
    assert max(lags) <= SETTINGS.segment + high
    assert len(lags) > 3


def test_fuzzy_copies_never_repeat_the_token_before_the_answer(tasks, material):
    for variant in ("case", "space", "neighbour"):
        task = of(tasks, "fuzzy copying", variant)
        for question, [place] in enumerate(rights(task)):
            row = task.tokens[task.example[question]].tolist()
            query = task.query[question]
            assert row[query] not in row[:query]
            before, now = material.texts[row[place - 1]], material.texts[row[query]]
            assert before != now
            same_letters = before.strip().lower() == now.strip().lower()
            assert same_letters == (variant != "neighbour")
            if variant == "case":
                assert before.lower() == now.lower()
            if variant == "space":
                assert before.strip() == now.strip()


def test_neighbours_are_nearest_in_the_embedding(tasks, material):
    task = of(tasks, "fuzzy copying", "neighbour")
    vectors = material.embedding()
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for question, [place] in enumerate(rights(task)):
        row = task.tokens[task.example[question]].tolist()
        shown, asked = row[place - 1], row[task.query[question]]
        folded = material.texts[shown].strip().lower()
        others = [t for t in material.words if material.texts[t].strip().lower() != folded]
        nearest = max(vectors[others] @ vectors[shown])
        assert vectors[asked] @ vectors[shown] == pytest.approx(nearest)


def test_neighbours_are_the_same_however_many_are_looked_for_at_once(material, monkeypatch):
    whole = fuzzy_copying._by_embedding(material)
    assert 100 < len(whole) < fuzzy_copying._ROWS
    monkeypatch.setattr(fuzzy_copying, "_ROWS", 17)
    assert fuzzy_copying._by_embedding(material) == whole


def test_two_tokens_tell_where_one_does_not(tasks):
    task = of(tasks, "[A][B][C] matching", "random")
    for question, [place] in enumerate(rights(task)):
        row = task.tokens[task.example[question]].tolist()
        query = task.query[question]
        a, b = row[query - 1], row[query]
        followers = [row[k + 1] for k in range(1, query) if row[k] == b]
        assert sorted(followers) == sorted(task.candidates[question])
        assert row[place - 2 : place] == [a, b]
        assert [k for k in range(1, query) if row[k - 1 : k + 1] == [a, b]] == [place - 1]


def category(word: str) -> int:
    return [word in words for words in (MONTHS, COLOURS, ANIMALS, FRUITS)].index(True)


def test_labels_stand_for_pairs_of_categories(tasks, material):
    task = of(tasks, "abstract patterns", "categories")
    for question, places in enumerate(rights(task)):
        text = text_before(task, material, question)
        lines = [line.split(" ") for line in text.split("\n")]
        pairs = [(category(a), category(b.rstrip(":"))) for a, b, *_ in lines]
        labels = [label for *_, label in lines[:-1]]
        same = [label for pair, label in zip(pairs, labels, strict=False) if pair == pairs[-1]]
        assert len(set(same)) == 1
        assert task.target[question] == material.encode(f" {same[0]}")[0]
        assert len(places) == len(same)
        assert len(set(zip(pairs[:-1], labels, strict=True))) == 4


def test_labels_that_nothing_tells_are_not_judged(material):
    found = make_tasks(material, SETTINGS.model_copy(update={"shots": (0,)}))
    kinds = {
        variant: kind
        for task in found
        if isinstance(task, Task) and task.behaviour == "few-shot"
        for variant, kind in task.variants.items()
    }
    assert kinds == {f"{kind}, 0 shots": "control" for kind in ("natural", "flipped", "random")}


@pytest.mark.parametrize(
    ("behaviour", "variant"),
    [
        *(("few-shot", f"{kind}, 16 shots") for kind in ("natural", "flipped", "random")),
        ("abstract patterns", "categories"),
    ],
)
def test_shuffled_labels_are_those_of_the_same_prompts_dealt_out_anew(
    behaviour, variant, tasks, material
):
    task = of(tasks, behaviour, variant)
    control = of(tasks, behaviour, f"{variant}, {SHUFFLED}")
    assert set(control.variants.values()) == {"control"}
    own = np.flatnonzero(task.variant == list(task.variants).index(variant))
    np.testing.assert_array_equal(control.example, task.example[own])
    np.testing.assert_array_equal(control.target, task.target[own])
    np.testing.assert_array_equal(control.candidates, task.candidates[own])
    moved = []
    for number, question in enumerate(own):
        *lines, last = text_before(task, material, int(question)).split("\n")
        *others, same = text_before(control, material, int(number)).split("\n")
        assert same == last
        parts, dealt = ([tuple(line.split(": ")) for line in each] for each in (lines, others))
        assert [word for word, _ in parts] == [word for word, _ in dealt]
        moved.append(np.mean([a != b for (_, a), (_, b) in zip(parts, dealt, strict=True)]))
        if behaviour == "few-shot":
            assert sorted(label for _, label in parts) == sorted(label for _, label in dealt)
    assert np.mean(moved) > 0.3
    question, key = control.right.T
    there = control.tokens[control.example[question], key].numpy()
    assert np.array_equal(there, control.target[question])
    question, key = control.wrong.T
    there = control.tokens[control.example[question], key].numpy()
    assert (there != control.target[question]).all()


@pytest.mark.parametrize("kind", ["natural", "flipped", "random"])
def test_shots_are_counted_and_labelled(kind, tasks, material):
    task = of(tasks, "few-shot", f"{kind}, 16 shots")
    asked_kinds = {name: kind for name, kind in task.variants.items() if kind != "control"}
    assert asked_kinds == {f"{kind}, 16 shots": "abstract"}
    for question, places in enumerate(rights(task)):
        *lines, last = text_before(task, material, question).split("\n")
        shots = list(task.variants)[task.variant[question]].split(", ")[1]
        assert shots == f"{len(lines)} shot{'' if len(lines) == 1 else 's'}"
        words = [line.split(": ") for line in lines]
        side = category(last.rstrip(":"))
        same = [label for word, label in words if category(word) == side]
        assert len(places) == len(same)
        assert len({word for word, _ in words} | {last.rstrip(":")}) == len(words) + 1
        if kind != "random":
            name = ("animal", "fruit")[(side == 3) != (kind == "flipped")]
            assert set(same) <= {name}
            assert task.target[question] == material.encode(f" {name}")[0]
        assert len(set(same)) <= 1


def test_labels_that_begin_alike_are_asked_for_behind_what_they_share(material):
    """As with vocabularies in which a space is a token of its own."""
    space, digits = 500, {str(k): 600 + k for k in range(4)}

    def encode(text: str) -> list[int]:
        return [space, digits[text[1:]]] if text[1:] in digits else material.encode(text)

    found = make_tasks(replace(material, encode=encode), SETTINGS)
    task = of([t for t in found if isinstance(t, Task)], "abstract patterns", "categories")
    assert (task.tokens[task.example, task.query].numpy() == space).all()
    assert set(task.target) <= set(digits.values())
    same = replace(material, encode=lambda text: [space])
    reasons = {t.behaviour: t.reason for t in make_tasks(same, SETTINGS) if not isinstance(t, Task)}
    assert reasons["abstract patterns"] == "no single token tells the labels apart"
    assert reasons["few-shot"] == "no single token tells the labels apart"


def test_a_translation_is_aligned_with_its_phrase(tasks, material):
    task = of(tasks, "translation", "phrases")
    sources = {target: source for source, target in PAIRS}
    for question, [place] in enumerate(rights(task)):
        row = task.tokens[task.example[question]].tolist()
        first, _, second = "".join(material.texts[t] for t in row).partition("\n")
        second_so_far = text_before(task, material, question).partition("\n")[2]
        number = second_so_far.count(",")
        phrase = first.split(",")[number].removeprefix(material.texts[START]).strip()
        translation = second.split(",")[number].strip()
        assert sources[translation] == phrase
        assert translation != "Czech"  # it would be copied
        assert row[place] == material.encode(f" {phrase}")[0]
        assert number >= 2


def test_translations_that_begin_alike_are_asked_for_behind_what_they_share(material):
    """As with vocabularies in which a space is a token of its own."""
    space = 500

    def encode(text: str) -> list[int]:
        return [space, *material.encode(text[1:])] if text[0] == " " else material.encode(text)

    found = make_tasks(replace(material, encode=encode), SETTINGS)
    task = of([t for t in found if isinstance(t, Task)], "translation", "phrases")
    firsts = {target: encode(f" {target}")[1] for _, target in PAIRS}
    assert set(task.target) <= set(firsts.values())
    for question, [place] in enumerate(rights(task)):
        row = task.tokens[task.example[question]].tolist()
        assert row[task.query[question]] == row[place - 1] == space
        sources = {source for source, target in PAIRS if firsts[target] == task.target[question]}
        assert row[place] in {encode(f" {source}")[1] for source in sources}


def test_what_does_not_fit_is_told_and_not_dropped(material):
    full = make_tasks(material, SETTINGS)
    narrow = make_tasks(replace(material, n_ctx=40, pairs=[]), SETTINGS)

    def asked_or_told(found: list[Task | Untestable]) -> set[tuple[str, str]]:
        return {
            (task.behaviour, name)
            for task in found
            for name in ([task.variant] if isinstance(task, Untestable) else task.variants)
            if SHUFFLED not in name
        }

    assert asked_or_told(narrow) == asked_or_told(full) - {("literal copying", "text, first copy")}
    reasons = [task.reason for task in narrow if isinstance(task, Untestable)]
    assert "needs 88 tokens of context, there are 39" in reasons
    assert material.why_no_pairs in reasons
    assert any("16 lines do not fit into 40 tokens" in reason for reason in reasons)


def test_a_vocabulary_without_words_cannot_carry_fuzzy_copies(material):
    letters = replace(material, drawable=material.drawable[:20])
    found = make_tasks(letters, SETTINGS)
    reasons = {t.behaviour: t.reason for t in found if isinstance(t, Untestable)}
    assert "20 tokens to draw from" in reasons["literal copying"]
    assert "such pairs of words" in reasons["fuzzy copying"]


# Models built by hand

SMALL = SETTINGS.model_copy(update={"examples": 20, "segment": 10, "gap": (2, 9)})


@pytest.fixture(scope="module")
def small() -> Material:
    """What the built models' vocabulary can carry."""
    return Material(
        encode=lambda text: [1],
        texts=[chr(ord("a") + token) for token in range(D_VOCAB)],
        start=START,
        drawable=np.arange(1, D_VOCAB),
        windows=np.random.default_rng(0).integers(1, D_VOCAB, (30, 60)),
        embedding=lambda: np.eye(D_VOCAB),
        n_ctx=N_CTX,
    )


def built_task(small: Material, behaviour: str, settings: Behaviours = SMALL) -> Task:
    task = BEHAVIOURS[behaviour](small, settings, np.random.default_rng(3))[0]
    assert isinstance(task, Task)
    return task


def accuracy(outcome: Outcome, condition: Condition) -> float:
    return float(outcome.answers[condition].correct.mean())


def test_a_built_induction_model_copies_until_its_head_or_its_pattern_is_gone(small):
    model, task = induction_model(), built_task(small, "literal copying")
    wanted = conditions(model.spec, [(1, 0)], random_draws=3, seed=0)
    outcome = evaluate(model, task, wanted, batch_size=7)
    found = {(c.kind, c.heads, c.draw): accuracy(outcome, c) for c in wanted}
    assert found.pop(("intact", "none", 0)) == 1.0
    for (_kind, heads, _), value in found.items():
        if heads == "random":
            assert value == 1.0
        else:
            assert value <= task.chance + 0.05
    assert len(found) == 2 + 2  # one other head in the layer, so one set
    assert outcome.right.found[0, 1, 0] == pytest.approx(1.0, abs=1e-4)
    assert outcome.right.found[0, 1, 1] == pytest.approx(outcome.right.uniform[0], abs=1e-4)
    assert outcome.right.uniform[0] == pytest.approx(np.mean(1 / (task.query + 1)))
    assert not outcome.wrong.found.any()
    intact = outcome.answers[INTACT].loss
    assert intact.max() < 0.01
    gone = outcome.answers[Condition("ablated", "induction", 0, frozenset({(1, 0)}))].loss
    np.testing.assert_allclose(gone, np.log(D_VOCAB), rtol=1e-4)


def test_one_token_of_prefix_leaves_a_built_induction_model_undecided(small):
    task = built_task(small, "[A][B][C] matching")
    outcome = evaluate(induction_model(), task, [INTACT])
    assert outcome.right.found[0, 1, 0] == pytest.approx(0.5, abs=1e-3)
    assert outcome.wrong.found[0, 1, 0] == pytest.approx(0.5, abs=1e-3)
    assert outcome.answers[INTACT].loss == pytest.approx(np.log(2), abs=0.05)


def test_a_previous_token_head_taken_out_takes_the_copying_along(small):
    model, task = induction_model(), built_task(small, "literal copying")
    condition = Condition("ablated", "induction", 0, frozenset({(0, 0)}))
    outcome = evaluate(model, task, [INTACT, condition])
    assert accuracy(outcome, condition) <= 0.3


def test_short_memory_makes_batches_smaller_and_changes_no_answer(small, monkeypatch):
    model, task = induction_model(), built_task(small, "literal copying")
    wanted = conditions(model.spec, [(1, 0)], random_draws=1, seed=0)
    whole = evaluate(model, task, wanted).answers
    each = memory.bytes_per_example(model.spec, task.tokens.shape[1], patterns=True)
    monkeypatch.setattr(memory, "free_memory", lambda device: 6 * each)
    sizes, residual = [], model.residual

    def note(tokens, *given):
        sizes.append(len(tokens))
        return residual(tokens, *given)

    monkeypatch.setattr(model, "residual", note)
    parts = evaluate(model, task, wanted).answers
    assert set(sizes) == {3, 2}
    for condition in wanted:
        np.testing.assert_allclose(parts[condition].loss, whole[condition].loss, atol=1e-5)


def test_without_the_layer_below_nothing_is_copied(small):
    task = built_task(small, "literal copying")
    outcome = evaluate(one_layer_model(), task, [INTACT])
    assert accuracy(outcome, INTACT) <= task.chance + 0.1


@pytest.mark.parametrize("number", range(len(BEHAVIOURS)))
def test_a_random_model_is_at_chance(number, material):
    behaviour = list(BEHAVIOURS)[number]
    settings = SETTINGS.model_copy(update={"examples": 60})
    model = random_model(d_vocab=D_TEXT, n_ctx=400)
    for task in BEHAVIOURS[behaviour](material, settings, np.random.default_rng(1)):
        assert isinstance(task, Task)
        correct = evaluate(model, task, [INTACT]).answers[INTACT].correct
        by_prompt = np.array([correct[task.example == k].mean() for k in range(60)])
        error = max(by_prompt.std(ddof=1), 0.05) / np.sqrt(60)
        assert abs(by_prompt.mean() - task.chance) < 4 * error, (behaviour, list(task.variants))


def test_a_model_that_knows_nothing_is_at_chance_to_the_last_digit(material):
    model = random_model(d_vocab=D_TEXT, n_ctx=400)
    model.W_U.zero_()
    for task in make_tasks(material, SETTINGS):
        assert isinstance(task, Task)
        assert evaluate(model, task, [INTACT]).answers[INTACT].correct == pytest.approx(task.chance)


def test_conditions_from_the_intact_run_are_those_from_the_tokens(material):
    """The shortcuts, against a plain pass with the same heads scaled or blocked."""
    model = random_model(d_vocab=D_TEXT, n_ctx=400, n_layers=3)
    task = BEHAVIOURS["fuzzy copying"](material, SETTINGS, np.random.default_rng(0))[1]
    assert isinstance(task, Task)
    chosen = frozenset({(1, 0), (2, 3)})
    blocked = induction_places(task, slice(0, len(task.tokens)))
    mask = torch.tensor([[True, False, False, False], [False, False, False, True]])[..., None, None]
    plain = {
        "ablated": Intervention(
            head_scale={1: (~mask[0, :, 0, 0]).float(), 2: (~mask[1, :, 0, 0]).float()}
        ),
        "knocked out": Intervention(
            blocked={1: blocked[:, None] & mask[0], 2: blocked[:, None] & mask[1]}
        ),
    }
    for kind, changes in plain.items():
        condition = Condition(kind, "random", 0, chosen)  # pyright: ignore[reportArgumentType]
        ours = evaluate(model, task, [INTACT, condition]).answers[condition].loss
        logits = model(task.tokens, intervene=changes)[task.example, task.query]
        theirs = torch.nn.functional.cross_entropy(
            logits, torch.from_numpy(task.target), reduction="none"
        )
        np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-4, rtol=2e-4)


def test_the_places_of_induction_are_behind_earlier_copies_and_the_right_ones(tasks):
    for task in (of(tasks, "literal copying", "random"), of(tasks, "translation", "phrases")):
        places = induction_places(task, slice(2, 5))
        tokens = task.tokens[2:5]
        expected = torch.zeros_like(places)
        for row, ids in enumerate(tokens.tolist()):
            for query, token in enumerate(ids):
                for key in range(1, query + 1):
                    expected[row, query, key] = ids[key - 1] == token
        for question, key in task.right:
            if 2 <= task.example[question] < 5:
                expected[task.example[question] - 2, task.query[question], key] = True
        assert torch.equal(places, expected)


def test_conditions_are_matched_and_all_different():
    spec = random_model(n_layers=2).spec
    assert conditions(spec, [], 5, 0) == [INTACT]
    wanted = conditions(spec, [(1, 0)], 20, 0)
    assert len(set(wanted)) == len(wanted) == 1 + 2 + 2 * 3
    for condition in wanted[3:]:
        assert len(condition.chosen) == 1
        assert {layer for layer, _ in condition.chosen} == {1}
        assert (1, 0) not in condition.chosen


# From answers to what the study says of them


def test_tables_say_what_the_built_model_does(small):
    model = induction_model()
    found = [built_task(small, name) for name in ("literal copying", "[A][B][C] matching")]
    told = Untestable("translation", "phrases", "no pairs")
    wanted = conditions(model.spec, [(1, 0)], random_draws=2, seed=0)
    outcomes = [evaluate(model, task, wanted) for task in found]
    snapshot = Snapshot(7, 700, Path("none"))
    tables = rows(snapshot, [*found, told], outcomes, last=True)
    assert tables["tasks"].row(-1, named=True)["why_not"] == "no pairs"
    assert set(tables["behaviours"]["step"]) == {7}
    assert len(tables["behaviours"]) == 2 * len(wanted)
    assert len(tables["attention"]) == 2 * 4
    assert rows(snapshot, [*found, told], outcomes, last=False)["examples"].is_empty()
    literal, longer = describe_behaviours(Tables(**tables), [(1, 0)])
    assert (literal.kind, longer.kind) == ("literal", "loose")
    assert literal.accuracy == 1.0
    assert literal.head == (1, 0)
    assert literal.ablated
    assert literal.ablated.mean == pytest.approx(np.log(D_VOCAB), abs=0.05)
    assert literal.needs_induction
    assert literal.does(CONFIG.verdicts)
    assert not longer.does(CONFIG.verdicts)


def made_tables(ablated: float, random: float) -> Tables:
    """One behaviour of ten prompts, whose loss rises by so much without heads."""
    spread = np.linspace(-0.1, 0.1, 10)
    costs = {("intact", "none"): 0.0, ("ablated", "induction"): ablated}
    costs |= {("knocked out", "induction"): 2.0, ("ablated", "random"): random}
    costs |= {("knocked out", "random"): 0.1}
    key = {"behaviour": "b", "variant": "v"}
    examples = [
        {**key, "condition": condition, "heads": heads, "draw": draw, "example": k}
        | {"loss": 1.0 + spread[k] + cost * (1 + spread[k]), "accuracy": float(k > 0)}
        for (condition, heads), cost in costs.items()
        for draw in range(2 if heads == "random" else 1)
        for k in range(10)
    ]
    attention = [
        {**key, "step": step, "tokens": step, "layer": 0, "head": head}
        | {"attention": 0.1 * (head + step), "uniform": 0.05, "wrong": 0.3, "uniform_wrong": 0.15}
        for step in (1, 2)
        for head in (0, 1)
    ]
    task = {**key, "kind": "abstract", "prompts": 10, "questions": 10, "candidates": 4}
    return Tables(
        behaviours=pl.DataFrame(),
        attention=pl.DataFrame(attention),
        examples=pl.DataFrame(examples),
        looks=pl.DataFrame(schema=LOOKS),
        shown=pl.DataFrame(schema=SHOWN),
        tasks=pl.DataFrame([{**task, "why_not": None}]),
    )


def test_costs_are_compared_prompt_by_prompt():
    [doing] = describe_behaviours(made_tables(ablated=1.0, random=0.2), [(0, 0)])
    assert doing.ablated_more
    assert doing.ablated_more.mean == pytest.approx(0.8)
    assert doing.ablated_more.low < 0.8 < doing.ablated_more.high
    assert doing.needs_induction
    assert (doing.head, doing.attention) == ((0, 0), pytest.approx(0.2))
    assert (doing.right_share, doing.right_places) == (pytest.approx(0.4), pytest.approx(0.25))
    assert (doing.chance, doing.accuracy) == (0.25, 0.9)
    [other] = describe_behaviours(made_tables(ablated=0.2, random=1.0), [])
    assert not other.needs_induction
    assert other.head == (0, 1)


def published(tables: Tables, paths: StudyPaths, **without: str) -> None:
    with published_folder(paths.behaviours("m"), paths.scratch) as folder:
        for name, rows_ in vars(tables).items():
            rows_.drop(without.get(name, [])).write_parquet(folder / f"{name}.parquet")


def test_tables_are_read_back_and_a_missing_column_is_named(tmp_path, small):
    paths, model = StudyPaths(tmp_path), induction_model()
    task = built_task(small, "literal copying")
    found = rows(Snapshot(1, 2, tmp_path), [task], [evaluate(model, task, [INTACT])], last=True)
    published(Tables(**found), paths)
    [doing] = describe_behaviours(load_behaviours(paths, "m"), [])
    assert (doing.accuracy, doing.ablated, doing.needs_induction) == (1.0, None, False)
    published(Tables(**found), paths, examples="loss")
    line = message_of(lambda: load_behaviours(paths, "m"))
    assert line
    assert "examples.parquet: has no column loss: delete" in line
    (paths.behaviours("m") / "tasks.parquet").write_bytes(b"")
    with pytest.raises(StudyError, match=r"tasks\.parquet: differs from its manifest"):
        load_behaviours(paths, "m")
