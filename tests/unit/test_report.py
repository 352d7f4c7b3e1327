"""The report's words, tables and looks."""

import re
import shutil
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import typst
from made_summary import made_results, model

from induction.config import load_config
from induction.environment import Change, changes, packages
from induction.paths import StudyPaths, find_study
from induction.report import tables
from induction.report.figures.axes import spread
from induction.report.sentences import TEMPLATES as TEXT
from induction.report.style import looks
from induction.report.text import code, markdown_table, names, number, short_tokens
from induction.study.kinds import find_kinds
from induction.study.verdicts import Check, Verdict

CONFIG = load_config(find_study().params)
SOURCE = find_study().report_source / "index.qmd"
TEMPLATES = sorted(TEXT.glob("*.j2"))
FORMULA, ARGUMENT = r"ln\(1 \+", r"[Aa]rgument \d"
SCALE, PAPER = "95 %|Above 100 %|chance is 0", r"The paper reports .*?\."


@pytest.mark.parametrize(
    ("tokens", "text"),
    [(None, "–"), (512, "512"), (204_800, "205k"), (4_123_456, "4.12M"), (2.5e9, "2.5B")],
)
def test_token_counts_are_short(tokens, text):
    assert short_tokens(tokens) == text


def test_numbers_have_a_real_minus_sign_and_a_dash_for_none():
    assert number(-0.5) == "−0.50"
    assert number(None) == "–"


def test_names_are_listed_as_in_prose():
    assert names(["a"]) == "`a`"
    assert names(["a", "b", "c"]) == "`a`, `b` and `c`"
    assert names([]) == ""
    assert names(["a-s10", "a-s11", "b-s1"]) == "`a` (s10, s11) and `b-s1`"
    assert names(["a", "a-s10", "a-s11", "b", "b-s1"]) == "`a` (and s10, s11), `b` and `b-s1`"


def test_text_of_the_corpus_is_code_on_one_line():
    assert code("a\n\tb`") == "`a⏎→b‵`"
    assert code(" ") == "`␣`"
    assert code("漢字") == "`⟨U+6F22⟩⟨U+5B57⟩`"


@pytest.mark.parametrize("block", range(0, 0x20000, 0x2000))
def test_the_pdf_can_show_any_text_of_a_corpus(block, tmp_path):
    """Under the standard that the report's PDF keeps, a letter that no font has is an error."""
    letters = "".join(map(chr, range(max(1, block), block + 0x2000, 7)))
    text = re.sub(r"[\ud800-\udfff]", "", letters)
    literal = code(text)[1:-1].replace("\\", "\\\\").replace('"', '\\"')
    source = tmp_path / "text.typ"
    source.write_text(f'#set document(title: "T")\n#raw("{literal}")', encoding="utf-8")
    typst.compile(str(source), pdf_standards=["ua-1"], ignore_system_fonts=True)


def test_cells_cannot_break_a_table():
    table = markdown_table(("x", "y"), "lr", [("a|b", "c\nd")])
    assert table.splitlines()[-1] == r"| a\|b | c d |"
    assert len(table.splitlines()) == 3


def test_labels_keep_their_order_and_their_distance():
    ends = {"a": (1.0, 0.0), "b": (1.0, 0.01), "c": (1.0, 0.02), "d": (1.0, 1.0)}
    places = {name: place for name, _, place in spread(ends, gap=0.1)}
    ordered = [places[name] for name in "abcd"]
    assert all(later - earlier >= 0.099 for earlier, later in pairwise(ordered))
    assert places["d"] == pytest.approx(1.0)
    assert np.mean(ordered[:3]) == pytest.approx(0.01, abs=1e-6)


def test_every_model_looks_different_and_depth_darkens():
    style = looks(CONFIG.models)
    kinds = find_kinds(CONFIG.models)
    different = {(look.color, str(look.linestyle)) for look in style.values()}
    assert len(different) == len(kinds) < len(style)
    assert style["attn-2l"] == style["attn-2l-s1"]  # but for their seed they are the same
    brightness = [sum(style[name].color) for name in ("attn-1l", "attn-2l", "attn-3l")]
    assert brightness == sorted(brightness, reverse=True)
    assert style["smear-1l"].linestyle != style["mlp-1l"].linestyle != style["attn-1l"].linestyle


def test_every_color_is_dark_enough_for_small_text_on_white():
    def linear(channel: float) -> float:
        return channel / 12.92 if channel <= 0.04045 else ((channel + 0.055) / 1.055) ** 2.4

    smoke = load_config(find_study().root / "params/smoke.yaml")  # has smeared values too
    for name, look in [*looks(CONFIG.models).items(), *looks(smoke.models).items()]:
        red, green, blue = map(linear, look.color)
        luminance = 0.2126 * red + 0.7152 * green + 0.0722 * blue
        assert 1.05 / (luminance + 0.05) >= 4.5, name


def test_a_model_looks_the_same_in_a_smaller_zoo():
    few = {name: CONFIG.models[name] for name in ("attn-1l", "attn-4l", "smear-1l")}
    for name, look in looks(few).items():
        assert look == looks(CONFIG.models)[name]


@pytest.mark.parametrize("source", [SOURCE, *TEMPLATES], ids=lambda source: source.name)
def test_the_prose_holds_no_typed_measurement(source):
    """Numbers come from `{python}`, cells or values; names, formulas and references may hold
    digits, and so may the level of intervals and what the paper reports."""
    prose = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", "", source.read_text(), flags=re.DOTALL)
    prose = re.sub(r"^---\n.*?^---\n", "", prose, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^```\{python\}\n.*?^```$", "", prose, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^\$\$.*?^\$\$.*?$", "", prose, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"`\{python\}[^`]*`|\$[^$]*\$|\[?-?@[\w-]+\]?|\{#[^}]*\}", "", prose)
    prose = re.sub(f"{FORMULA}|{ARGUMENT}|{SCALE}|{PAPER}", "", prose)
    assert re.findall(r"\d[\d.,]*", prose) == []


def test_packages_are_read_with_all_their_pins():
    lock = "# comment\na==1.0\nB==2 ; python_version < '3.12'\nb==3 ; python_version >= '3.12'\n"
    assert packages(lock) == {"a": "1.0", "b": "2, 3"}


def test_package_changes_name_what_came_went_and_moved():
    before, after = {"a": "1", "b": "2", "c": "3"}, {"a": "1", "b": "4", "d": "5"}
    found = changes(before, after)
    assert found == [Change("b", "2", "4"), Change("c", "3", None), Change("d", None, "5")]


def test_a_zoo_with_many_seeds_lists_one_of_each_kind():
    plain = CONFIG.models["attn-1l"]
    many = {
        f"attn-{layers}l-s{seed}": plain.model_copy(update={"n_layers": layers, "seed": seed})
        for layers in (1, 2, 3, 4)
        for seed in range(5)
    }
    few = dict(list(many.items())[:6])
    for entries, listed in ((few, list(few)), (many, [f"attn-{n}l-s0" for n in (1, 2, 3, 4)])):
        models = [
            replace(model(name), entry=entry, intervals={"onset_tokens": None})
            for name, entry in entries.items()
        ]
        checks = tuple(
            Check("both onset rules agree", "The same?", (name,), {}, held=True) for name in entries
        )
        results = made_results(
            *models,
            config=CONFIG.model_copy(update={"models": entries, "external": {}}),
            curves={name: SimpleNamespace(tokens=np.array([1e6])) for name in entries},
            verdicts=[Verdict(1, "Co-occurrence", "correlational", {}, "supported", checks)],
        )
        assert results.listed == listed
        for table in (tables.zoo(results), tables.onsets(results), tables.checks(results, 1)):
            assert [name for name in entries if f"`{name}`" in table] == listed
        told = [name for name in entries if f"`{name}`" in tables.all_seeds(results)]
        assert told == (list(entries) if entries is many else [])


def test_the_table_of_parameters_has_the_models_of_experiments_too(tmp_path):
    paths = StudyPaths(tmp_path)
    shutil.copyfile(find_study().root / "params" / "beyond.yaml", paths.params)
    whole = load_config(paths.params)
    told = tables.parameters(made_results(config=whole.usual, paths=paths))
    assert whole.usual.models.keys() < whole.models.keys()
    assert all(f"| `models.{name}` |" in told for name in whole.models)
