"""Numbers as words and Markdown: no figure in the report's prose is typed by hand."""

import re
from collections.abc import Iterable, Sequence, Set
from functools import cache

from matplotlib.font_manager import findfont, get_font

from induction.external.left_out import LEFT_OUT
from induction.external.reading import Reading
from induction.report.results import Results
from induction.runs.metrics import metric
from induction.study.verdicts import Check, Verdict


def short_tokens(tokens: float | None) -> str:
    """4123456 → 4.1M; None → –."""
    if tokens is None:
        return "–"
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if tokens >= size:
            return f"{tokens / size:.3g}{unit}"
    return f"{tokens:.0f}"


def onset(tokens: float | None) -> str:
    """4123456 → 4.1M; None, of a model without a phase change → none."""
    return short_tokens(tokens) if tokens else "none"


def number(value: float | None, digits: int = 2) -> str:
    """A number with a real minus sign; None → –."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def percent(share: float | None) -> str:
    """A share as a whole percentage; None → –."""
    return "–" if share is None else f"{100 * share:.0f}\u00a0%".replace("-", "−")


def quantity(name: str, value: float | None, signed: bool = False) -> str:
    """A metric's value in its unit, with a sign where it is a change; None → –."""
    if value is None:
        return "–"
    write = {"tokens": short_tokens, "%": percent, "heads": _whole}.get(metric(name).unit, _precise)
    sign = "−" if value < 0 else "+" if signed and value > 0 else ""
    return f"{sign}{write(abs(value))}"


def _whole(value: float) -> str:
    return number(value, 0)


def _precise(value: float) -> str:
    return number(value, 3)


def models_sentence(results: Results) -> str:
    """Where the table of models is; and, where there are any, what sets models of others apart."""
    listed = "@tbl-zoo lists the models."
    others = list(results.config.external)
    if not others:
        return listed
    return (
        f"{listed} {names(others)}, trained by others on other text, "
        f"{'read' if others[1:] else 'reads'} the same windows in tokens of their own; losses are "
        "given back on the study's tokens."
    )


def readings_text(results: Results) -> str:
    """How each model of others was read, a paragraph each; nothing where there are none."""
    return "\n\n".join(_reading(name, each) for name, each in results.readings.items())


def _reading(model: str, reading: Reading) -> str:
    start = reading.start_token
    sentences = [
        f"`{model}` is {code(reading.source)}, read with {code(reading.tokenizer)}; in "
        f"front of every text stands {code(start.text)} ({start.why})."
    ]
    if reading.weights:
        sentences.append(f"Its weights come from a {reading.weights}.")
    if reading.left_out:
        listed = "; ".join(f"{code(each.name)} ({code(each.reason)})" for each in reading.left_out)
        sentences.append(f"Revisions left out: {listed}.")
    for shared in reading.shared:
        tensors = shared.tensors
        few = ", ".join(map(code, tensors[:3])) + (" …" if tensors[3:] else "")
        sentences.append(
            f"{names(shared.revisions)} hold {len(tensors)} of {shared.of} matrices that are "
            f"equal to the last bit ({few}): they were frozen, or a revision is mislabelled."
        )
    return " ".join(sentences)


def circuits_sentence(results: Results) -> str:
    """What circuits leave out, by family of models of others; nothing where there are none."""
    if not results.config.external:
        return ""
    families = "; ".join(f"`{family}` {left_out}" for family, left_out in LEFT_OUT.items())
    return f"Circuits of models of others leave out, by family: {families}."


def names(models: Sequence[str], most: int | None = None) -> str:
    """`a`, `b` and `c`; several seeds of a kind together: `a` (s10, s11) and `b`. Of more than
    `most`, the others are counted."""
    groups: dict[str, list[str]] = {}
    for name in models[:most]:
        groups.setdefault(re.sub(r"-s\d+$", "-s", name), []).append(name)
    quoted = [
        _seeds(group, found) if found[1:] else f"`{found[0]}`" for group, found in groups.items()
    ]
    more = 0 if most is None else max(0, len(models) - most)
    return listed([*quoted, f"{more} more"] if more else quoted)


def listed(parts: Sequence[str], last: str = "and") -> str:
    """a, b and c."""
    return f" {last} ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def _seeds(stem: str, models: Sequence[str]) -> str:
    """attn-2l-s and the models attn-2l-s10 and attn-2l-s11 → `attn-2l` (s10, s11)."""
    numbers = (f"s{name.removeprefix(stem)}" for name in models)
    return f"`{stem.removesuffix('-s')}` ({', '.join(numbers)})"


def code(text: str) -> str:
    """Any text as a code span on one line: breaks shown, back-ticks made harmless, and characters
    that the PDF's fixed-width font lacks as ⟨U+6F22⟩."""
    shown = text.replace("\n", "⏎").replace("\t", "→").replace("`", "‵").replace("\r", "")
    shown = "".join(c if ord(c) in _drawable() else f"⟨U+{ord(c):04X}⟩" for c in shown)
    return f"`{shown}`" if shown.strip() else "`␣`"


@cache
def _drawable() -> Set[int]:
    """What DejaVu Sans Mono has, which typst brings and, as a file to look into, matplotlib."""
    return get_font(findfont("DejaVu Sans Mono")).get_charmap().keys()


def short_digest(text: str) -> str:
    """A SHA-256 cut to its first twelve digits, which a line has room for; other text as it is."""
    return f"{text[:12]}…" if re.fullmatch(r"[0-9a-f]{64}", text) else text


def notice(title: str, paragraphs: Sequence[str]) -> str:
    """A box for what a reader has to know first. Not a callout: Quarto's PDF loads a font for the
    icons of these from the network."""
    text = "\n\n".join([f"**{title}.** {paragraphs[0]}", *paragraphs[1:]])
    return f"::: {{.notice}}\n{text}\n:::"


def markdown_table(header: Sequence[str], align: str, rows: Iterable[Sequence[str]]) -> str:
    """A pipe table; `align` has one of l, r for each column. Cells are escaped."""
    rule = [":---" if side == "l" else "---:" for side in align]
    lines = [header, rule, *([_escape(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def corpus_sentence(results: Results) -> str:
    corpus = results.corpus
    return (
        f"The text is {short_tokens(corpus.train_characters + corpus.valid_characters)} characters "
        f"from {len(corpus.sources)} sources: {corpus.train_documents:,} documents for training "
        f"({short_tokens(corpus.train_tokens)} tokens) and {corpus.valid_documents:,} for "
        f"validation ({short_tokens(corpus.valid_tokens)} tokens), split by document. The "
        f"byte-level BPE vocabulary of {corpus.d_vocab:,} entries, trained on the training "
        f"documents alone, packs {corpus.characters_per_token:.2f} characters into a token."
    )


def verdict(results: Results, argument: int) -> str:
    """The outcome of an argument's rule with its grounds, as Markdown."""
    found = results.verdict(argument)
    return f"**Verdict: {found.outcome}.** {_grounds(found)}"


def evidence(results: Results, argument: int) -> str:
    """What kind of evidence an argument's rule can give here."""
    return f"Evidence here: {results.verdict(argument).evidence}."


def _grounds(verdict: Verdict) -> str:
    checks = verdict.checks
    failed = [check for check in checks if check.held is False]
    unsettled = [check for check in checks if check.held is None]
    if verdict.outcome == "not tested":
        return "The zoo lacks the models that this rule needs."
    if not failed and not unsettled:
        return f"All {len(checks)} checks held."
    held = len(checks) - len(failed) - len(unsettled)
    sentences = [f"{held} of {len(checks)} checks held."]
    if failed:
        sentences.append(f"Failed: {_asked(failed)}.")
    if unsettled:
        needed = "; ".join(dict.fromkeys(check.settle for check in unsettled))
        sentences.append(f"Cannot be told: {_asked(unsettled)}. What would settle it: {needed}.")
    return " ".join(sentences)


def _asked(checks: Sequence[Check]) -> str:
    return "; ".join(f"{check.question} ({names(check.models)})" for check in checks)
