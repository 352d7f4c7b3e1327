"""The interactive parts of the page: what they say, and what they do in a browser."""

import html
import json
import re

import numpy as np
import pytest
from made_behaviours import PROMPT
from made_explored import BAND, CHOSEN, COPY, EVIL, FALL, HELPED, ROOT, TEXTS, made_results
from page_checks import browse

from induction.report import interactive
from induction.report.interactive.view import visible
from induction.report.results import Results


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Results:
    return made_results(tmp_path_factory.mktemp("study"))


# The blocks.

MAKERS = (interactive.explorer, interactive.prompt_explorer, interactive.training_slider)


@pytest.fixture(scope="module")
def blocks(results) -> list[str]:
    return [make(results) for make in MAKERS]


def test_blocks_are_raw_html_and_the_same_every_time(results, blocks):
    for make, block in zip(MAKERS, blocks, strict=True):
        assert block == make(results)
        _markup(block)
        assert "<noscript>" in block
        assert re.search(r'<div class="interactive" [^>]*hidden>', block)
    assert interactive.scripts() == interactive.scripts()
    _markup(interactive.scripts())


def _markup(block: str) -> str:
    """What stands in the fence of a raw block; no line of it may end the fence."""
    first, *lines, last, end = block.split("\n")
    assert (first, last, end) == ("```{=html}", "```", "")
    assert not any(line.lstrip().startswith("```") for line in lines)
    return "\n".join(lines)


def test_the_text_of_the_corpus_stays_text(blocks):
    for block in blocks[:2]:  # of the explorer and the prompts
        assert EVIL not in block
        assert "window.broken" in block
        assert block.count("<script") == block.count("</script>")


def test_nothing_is_loaded_from_elsewhere(blocks):
    assert not re.search(r"https?://|\bsrc=|<link", "".join(blocks))
    assert not re.search(r"<script[^>]+src|<link|@import", interactive.scripts())


def test_quarto_finds_no_table_to_take_apart(blocks):
    for block in (blocks[0], interactive.scripts()):
        assert not re.search(r"</?table", block)


def test_the_links_of_the_fallback_lead_to_figures_of_the_report(blocks):
    source = (ROOT / "reports" / "index.qmd").read_text()
    labels = re.findall(r'href="#(fig-[\w-]+)"', "".join(blocks))
    assert labels
    assert [label for label in labels if f"#| label: {label}\n" not in source] == []


# In a browser.

TABLE = """<table><thead>
<tr><th>model</th><th>onset</th><th></th><th><em>share</em></th></tr></thead>
<tbody><tr><td>m10</td><td>2.78M (2.63M to 2.9M)</td><td>x</td><td>103&nbsp;%</td></tr>
<tr><td>m9</td><td>–</td><td>y</td><td>−4&nbsp;%</td></tr>
<tr><td>m1</td><td>433k to 1M</td><td>z</td><td>2&nbsp;%</td></tr>
<tr><td>m2</td><td>1,024</td><td>z</td><td>–</td></tr></tbody></table>
<table id="small"><thead><tr><th>a</th></tr></thead>
<tbody><tr><td>2</td></tr><tr><td>1</td></tr></tbody></table>"""

WATCH = """<script>
window.errors = [];
addEventListener("error", (event) => errors.push(event.message));
addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
for (const kind of ["error", "warn"]) console[kind] = (...words) => errors.push(words.join(" "));
</script>"""

STEPS = """<pre id="outcome"></pre><script>(async () => {
const one = (selector, box = document) => box.querySelector(selector);
const all = (selector, box = document) => [...box.querySelectorAll(selector)];
const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const settled = (id) => one(`#${id}[data-ready], #${id} .interactive-problem`);
const set = async (control, value, kind = "change") => {
  control.value = value;
  control.dispatchEvent(new Event(kind, { bubbles: true }));
  await wait(100);
};
const out = {};
try {
  while (!["explorer", "prompts", "training"].every(settled)) await wait(20);
  const explorer = one("#explorer"), training = one("#training");
  const tokens = () => all(".passage button", explorer);
  const reading = (box) => one(".interactive-reading", box).textContent;
  %s
} catch (error) { errors.push(String(error)); }
out.errors = errors;
out.broken = window.broken ?? null;
one("#outcome").textContent = JSON.stringify(out);
})();</script>"""


@pytest.fixture(scope="module")
def drive(blocks, tmp_path_factory):
    """Runs JavaScript in the page and gives back what it put into `out`; nothing may fail, and no
    text of the corpus may run."""
    style = (ROOT / "reports" / "styles.css").read_text()

    def run(steps: str, before: str = "", width: int = 1000) -> dict:
        path = tmp_path_factory.mktemp("page") / "page.html"
        body = "\n".join([*map(_markup, blocks), TABLE, _markup(interactive.scripts())])
        page = (
            f"<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>x</title>{WATCH}"
            f'<meta name="viewport" content="width=device-width"><style>{style}</style>{before}'
            f"</head><body><main>{body}</main>{STEPS % steps}</body></html>"
        )
        path.write_text(page, encoding="utf-8")
        options = (f"--window-size={width},900", "--virtual-time-budget=20000", "--dump-dom")
        found = re.search(r'<pre id="outcome">(.+?)</pre>', browse(path, *options), re.DOTALL)
        assert found, "the page never finished its steps"
        out = json.loads(html.unescape(found[1]))
        assert (out["errors"], out["broken"]) == ([], None)
        return out

    return run


def test_the_explorer_starts_with_the_head_that_helps(drive):
    out = drive("""
      out.reading = reading(explorer);
      out.tokens = tokens().map((token) => token.textContent);
      out.tones = tokens().map((token) => token.dataset.tone);
      out.labels = tokens().map((token) => token.getAttribute("aria-label"));
      out.looked = tokens().map((token) => token.classList.contains("key-looked"));
      out.hint = one(".interactive-hint", explorer).textContent;
      out.loaded = performance.getEntriesByType("resource").length;
      out.shown = [explorer, training].map((box) => getComputedStyle(box).display);
      const canvas = one("#explorer-chart canvas"), { width, height } = canvas;
      const pixels = canvas.getContext("2d").getImageData(0, 0, width, height).data;
      out.dark = pixels.reduce((n, value, k) => n + (k % 4 === 2 && value < 60), 0);
      out.names = all("select, input[type=range]").map((control) =>
        control.labels[0]?.textContent.trim().length > 0);
      out.status = one(".interactive-reading", explorer).getAttribute("aria-live");
    """)
    fall = FALL * np.log(BAND[1] / BAND[0])
    assert out["reading"] == (
        f"Head 1.1 at token {CHOSEN} (“a”) looks most at: “b” (token {COPY}) 80 %, “··” (token 2) "
        f"20 %. Next comes “b”; its loss changed by −{fall:.2f} nats."
    )
    assert out["tokens"] == [visible(text) for text in TEXTS]
    assert out["tones"][HELPED] == "better"
    assert out["tones"][2] == "worse"
    assert f"loss −{fall:.2f} nats" in out["labels"][HELPED]
    assert [k for k, looked in enumerate(out["looked"]) if looked] == [COPY, 2]
    assert "from 4k to 16k tokens, its phase change" in out["hint"]
    assert out["loaded"] == 0
    assert "none" not in out["shown"]
    assert out["dark"] > 100
    assert out["names"]
    assert all(out["names"])
    assert out["status"] == "polite"


def test_tokens_are_chosen_by_click_and_by_keyboard(drive):
    out = drive("""
      const state = () => ({ reading: reading(explorer), focused: tokens().indexOf(
        document.activeElement), checked: tokens().findIndex((token) =>
        token.getAttribute("aria-checked") === "true"),
        stops: all('.passage [tabindex="0"]').length });
      const press = async (key) => { document.activeElement.dispatchEvent(
        new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true })); await wait(50); };
      tokens()[2].focus(); tokens()[2].click(); await wait(50);
      out.click = state();
      await press("ArrowRight"); out.right = state();
      await press("ArrowUp"); await press("ArrowLeft"); out.left = state();
      await press("End"); await press("ArrowRight"); out.end = state();
      await press("Home"); await press("ArrowLeft"); out.home = state();
      await press("x"); out.other = state();
    """)
    last = len(TEXTS) - 1
    for step, place in (("click", 2), ("right", 3), ("left", 1), ("end", last), ("home", 0)):
        found = out[step]
        assert (found["focused"], found["checked"], found["stops"]) == (place, place, 1), step
        assert f"at token {place} (" in found["reading"]
        assert f"(token {place}) 100 %" in found["reading"]
    assert out["end"]["reading"].endswith("It is the last token of the passage.")
    assert out["other"] == out["home"]


def test_the_explorers_controls_depend_on_each_other(drive):
    out = drive("""
      const control = (name) => one(`[name="${name}"]`, explorer);
      const heads = () => [...control("head").options].map((option) => option.textContent);
      out.heads = heads();
      await set(control("model"), "attn-1l");
      out.fewer = heads();
      out.borrowed = one(".interactive-hint", explorer).textContent;
      out.other = reading(explorer);
      await set(control("model"), "attn-2l");
      out.best = control("head").selectedOptions[0].textContent;
      await set(control("snapshot"), 1, "input");
      out.snapshot = [one("output", explorer).textContent, reading(explorer),
        control("snapshot").getAttribute("aria-valuetext")];
      await set(control("snapshot"), 2, "input");
      out.again = reading(explorer);
      await set(control("head"), 0);
      out.head = reading(explorer);
      await set(control("head"), 3);
      one('[value="attention"]', explorer).click(); await wait(50);
      out.tones = tokens().map((token) => token.dataset.tone);
      out.shares = tokens().map((token) => Number(token.style.getPropertyValue("--share")));
      out.legends = all(".interactive-legend", explorer).map((e) => getComputedStyle(e).display);
      await set(control("passage"), 1);
      out.passage = tokens().map((token) => token.textContent);
    """)
    assert out["heads"] == [
        *("0.0 (previous-token head)", "0.1", "1.0"),
        "1.1 (induction head, previous-token head)",
    ]
    assert out["fewer"] == ["0.0", "0.1"]
    assert "the phase change of attn-2l" in out["borrowed"]
    assert out["other"].startswith("Head 0.")
    assert out["best"].startswith("1.1")
    label, at_middle, spoken = out["snapshot"]
    assert (label, spoken) == ("8k", "8k tokens")
    assert f"(token {CHOSEN}) 100 %" in at_middle
    assert f"(token {COPY}) 80 %" in out["again"]
    assert out["head"].startswith("Head 0.0")
    assert set(out["tones"]) == {"attention"}
    assert [round(share, 2) for share in out["shares"]] == [0, 0.8, 0.2, 0, 0, 0, 0, 0]
    assert out["legends"] == ["none", "flex"]
    assert out["passage"] == [visible(text) for text in TEXTS[::-1]]


def test_prompts_are_shaded_by_where_a_head_looks(drive):
    out = drive("""
      const box = one("#prompts"), words = () => all(".passage-token", box);
      out.choices = [...one("select", box).options].map((option) => option.textContent);
      out.first = [one("select", box).selectedIndex, reading(box)];
      out.texts = words().map((word) => word.textContent);
      out.shares = words().map((word) => Number(word.style.getPropertyValue("--share")));
      out.right = words().findIndex((word) => word.classList.contains("key-right"));
      out.wrong = words().findIndex((word) => word.classList.contains("key-wrong"));
      await set(one("select", box), 1);
      out.second = words().length;
    """)
    assert out["choices"] == [
        "attn-2l, few-shot: natural, 8 shots",
        "attn-2l, abstract patterns: categories",
    ]
    assert out["first"] == [
        0,
        "Head 1.1, asked for “ animal”: 20.0 % of its attention goes to right places, 5.0 % to "
        "wrong ones, 50.0 % to the first token.",
    ]
    assert out["texts"] == [visible(t) for t in (EVIL, *(text for text, _, _ in PROMPT[1:]))]
    assert out["shares"] == [1, 0.05, 1, 0.1, 0.15, 0.25, 0.2, 0.75]
    assert (out["right"], out["wrong"], out["second"]) == (2, 5, len(PROMPT))


def test_the_slider_moves_all_three_charts(drive):
    out = drive("""
      const control = (name) => one(`[name="${name}"]`, training);
      const marks = () => ["icl", "heads", "paths"].map((name) =>
        one(`#training-${name}-chart svg`).innerHTML);
      const points = () => all("#training-heads-chart .mark-symbol path").length;
      out.first = [reading(training), one("output", training).textContent, points()];
      const before = marks();
      await set(control("snapshot"), 0, "input");
      const after = marks();
      out.moved = before.map((mark, place) => mark !== after[place]);
      out.second = [reading(training), control("snapshot").getAttribute("aria-valuetext")];
      await set(control("model"), "attn-1l");
      out.third = [reading(training), points(), one("output", training).textContent];
      out.width = all(".interactive-chart svg").map((svg) => svg.getBoundingClientRect().width);
    """)
    assert out["first"] == [
        "attn-2l at 4k tokens (inside its phase change): ICL score −0.20, best prefix matching "
        "0.20 (head 1.1), best previous-token score 0.90 (head 0.0).",
        *("4k", 4),
    ]
    assert out["moved"] == [True, True, True]
    assert out["second"][0].startswith("attn-2l at 2k tokens (before its phase change)")
    assert out["second"][1] == "2k tokens"
    assert out["third"][0].startswith("attn-1l at 2k tokens (no phase change)")
    assert out["third"][1:] == [2, "2k"]
    assert min(out["width"]) > 200


def test_tables_sort_by_their_first_numbers(drive):
    out = drive("""
      const table = one("table");
      const headers = () => all("th", table);
      const column = (place) => [...table.tBodies[0].rows].map((row) => row.cells[place].innerText);
      const sort = (place) => one("button", headers()[place]).click();
      const states = () => headers().map((header) => header.getAttribute("aria-sort"));
      out.buttons = headers().map((header) => Boolean(one("button", header)));
      out.kept = headers()[3].innerHTML.includes("<em>share</em>");
      sort(1); out.onset = column(1); out.up = states();
      sort(1); out.down = column(1); out.descending = states();
      sort(3); out.share = column(3); out.other = states();
      sort(0); out.names = column(0);
      out.small = all("#small button").length;
    """)
    assert out["buttons"] == [True, True, False, True]
    assert out["kept"]
    assert out["onset"] == ["1,024", "433k to 1M", "2.78M (2.63M to 2.9M)", "–"]
    assert out["down"] == ["2.78M (2.63M to 2.9M)", "433k to 1M", "1,024", "–"]
    assert out["up"] == [None, "ascending", None, None]
    assert out["descending"] == [None, "descending", None, None]
    assert [text.replace("\u00a0", " ") for text in out["share"]] == ["−4 %", "2 %", "103 %", "–"]
    assert out["other"] == [None, None, None, "ascending"]
    assert out["names"] == ["m1", "m2", "m9", "m10"]
    assert out["small"] == 0


def test_a_browser_without_decompression_is_told_so_and_keeps_the_rest(drive):
    out = drive(
        """
      out.problem = one(".interactive-problem", explorer)?.textContent;
      out.controls = all("select", explorer).length;
      out.slider = reading(training);
    """,
        before="<script>delete window.DecompressionStream;</script>",
    )
    assert "does not work in this browser" in out["problem"]
    assert out["controls"] == 0
    assert out["slider"].startswith("attn-2l at")


def test_nothing_is_wider_than_a_phone(drive):
    out = drive(
        "out.wide = document.documentElement.scrollWidth; out.window = innerWidth;"
        'out.row = one(".passage").getBoundingClientRect().width;',
        width=500,  # the narrowest window that headless Chromium opens
    )
    assert out["wide"] <= out["window"] <= 500
    assert out["row"] > 200
