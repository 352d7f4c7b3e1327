"""Questions asked since the paper: their verdicts and tables."""

from collections.abc import Iterator

from induction.report.results import Results
from induction.report.text import markdown_table, names, number, percent, short_tokens
from induction.study.beyond.bigrams import Nearest
from induction.study.beyond.foresight import MIN_KINDS, MIN_MODELS
from induction.study.beyond.llc import Turns


def bigrams(results: Results) -> str:
    """The verdict on the bigram stage, and where each model is nearest to which predictor."""
    found = results.beyond.bigrams
    listed = [n for n in (*found.asked, *found.beside) if n.model in results.listed]
    rows = [_nearest(n) for n in listed]
    header = (
        *("model", "unigrams", "bigrams", "onset", "trigrams"),
        *("unigrams first", "bigrams before the onset", "from bigrams: least", "at the end"),
    )
    asked = names([n.model for n in found.asked])
    verdict = f"**{found.outcome.capitalize()}**" + (f", asked of {asked}." if asked else ".")
    return f"{verdict}\n\n{markdown_table(header, 'lrrrrrrrr', rows)}" if rows else verdict


def _nearest(n: Nearest) -> tuple[str, ...]:
    return (
        f"`{n.model}`",
        short_tokens(n.nearest_tokens["unigram"]),
        short_tokens(n.nearest_tokens["bigram"]),
        "none" if n.onset_tokens is None else short_tokens(n.onset_tokens),
        short_tokens(n.nearest_tokens["trigram"]),
        percent(n.unigrams_first),
        "shown alone" if n.before_onset is None else percent(n.before_onset),
        number(n.least["bigram"]),
        number(n.final["bigram"]),
    )


def geometry(results: Results) -> str:
    """The verdict on the learning coefficient, and where it turns in each model."""
    found = results.beyond.geometry
    lead = f"**{found.outcome.capitalize()}** ({len(found.asked)} models asked)."
    if not results.coefficients:
        return f"{lead} This run samples no model: `make preset NAME=beyond` does."
    rows = [*_turns(found.asked, ""), *_turns(found.beside, "shown alone")]
    header = (
        *("model", "boundaries", "onset", "nearest", "spread", "range", "at the end"),
        *("chains agree", ""),
    )
    return f"{lead}\n\n{markdown_table(header, 'lrrrrrrll', rows)}" if rows else lead


def _turns(models: tuple[Turns, ...], remark: str) -> Iterator[tuple[str, ...]]:
    for turns in models:
        nearest = turns.nearest(turns.onset_tokens) if turns.onset_tokens else None
        yield (
            f"`{turns.model}`",
            ", ".join(map(short_tokens, turns.boundaries)) or "none",
            "none" if turns.onset_tokens is None else short_tokens(turns.onset_tokens),
            "" if nearest is None else number(nearest),
            number(turns.spread, 0),
            number(turns.range, 0),
            number(turns.last, 0),
            "yes" if turns.chains_agree else "no",
            remark,
        )


def foresight(results: Results) -> str:
    """The verdict on foreseeing the onset, with its errors, or why it was not asked."""
    found = results.beyond.foresight
    lead = f"**{found.outcome.capitalize()}** ({found.models} models of {found.kinds} kinds)."
    if not (found.without_kind and found.without_model and found.moment_tokens):
        return (
            f"{lead} It takes {MIN_MODELS} models of {MIN_KINDS} kinds with seeds enough, as the "
            "extended run has them."
        )
    rows = [
        (left_out, *(number(e) for e in (errors.regression, errors.constant, errors.formula)))
        for left_out, errors in (
            ("each kind", found.without_kind),
            ("each model", found.without_model),
        )
    ]
    header = ("left out", "regression", "constant guess", "formula")
    return (
        f"{lead} From what is known at {short_tokens(found.moment_tokens)} tokens; errors in "
        f"e-folds, root mean square. Of the shufflings, {percent(found.p_value or 0.0)} do as "
        f"well.\n\n{markdown_table(header, 'lrrr', rows)}"
    )
