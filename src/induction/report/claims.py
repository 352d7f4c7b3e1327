"""The paper's claims beside this study's numbers: one row a claim."""

from collections.abc import Iterable, Sequence
from typing import Any

from induction.report.results import Results, checks_of, verdict_of
from induction.report.text import markdown_table, number, onset, percent
from induction.study.verdicts.verdict import Kind

_NONE = "no such model"


def claims(results: Results) -> str:
    """Claim, the paper's number, ours with 95 % intervals where there are any, how the definition
    differs, and the verdict of the argument that the claim belongs to."""
    rows = (
        (
            1,
            "In-context learning improves abruptly in models of two or more layers",
            "ICL score from above −0.15 to about −0.4 nats",
            _scores(results),
            "windows of indices, not tokens 50 and 500; a shorter context",
        ),
        (
            1,
            "One layer shows no change",
            "none",
            _one_layer(results),
            "prefix matching: the token after the earlier copy",
        ),
        (
            2,
            "Smeared keys bring the change to one layer, and earlier to two",
            "no number",
            _smeared(results),
            "onset by a rule on the slope",
        ),
        (
            3,
            "In small models, in-context learning comes from induction heads",
            "nearly all of it in attention-only ones",
            _removed(results),
            "share of what the model gained over one layer; heads set to zero",
        ),
        (
            4,
            "Such heads also match abstract patterns",
            "about 65 % of attention on the right category (13B parameters)",
            _right_places(results),
            "attention of one right place against one wrong one: one half is chance",
        ),
        (
            5,
            "Induction heads copy, and match prefixes through a previous-token head",
            "no number",
            _circuits(results),
            "eigenvalue scores of OV and QK, from −1 to 1",
        ),
        (
            6,
            "Measures vary continuously with size",
            "no number",
            _steps(results),
            "neighbouring depths of attention-only models",
        ),
    )
    return markdown_table(
        ("claim", "the paper", "here", "differs", "verdict"),
        "lllll",
        (
            (
                claim,
                paper,
                ours or _NONE,
                differs,
                f"{verdict_of(results, argument)['outcome']} ({argument})",
            )
            for argument, claim, paper, ours, differs in rows
        ),
    )


def _scores(results: Results) -> str:
    return _listed(
        f"`{name}` {_within(results.metrics[name]['icl_score'], _ends(results, name, 'icl_score'))}"
        for name, entry in results.config.studied.items()
        if entry.n_layers > 1 and entry.plain
    )


def _one_layer(results: Results) -> str:
    found = [numbers for _, numbers in _checks(results, 1, "no change in one layer")]
    if not found:
        return ""
    changed = sum(numbers["onset_tokens"] is not None for numbers in found)
    best = max(numbers["max_prefix_matching"] for numbers in found)
    return f"{changed} of {len(found)} change; best prefix matching {number(best)}"


def _smeared(results: Results) -> str:
    kinds: tuple[Kind, ...] = ("change with smeared keys alone", "change earlier with smeared keys")
    return _listed(
        f"`{smeared}` {onset(numbers['onset_tokens'])} against `{plain}` "
        f"{onset(numbers['plain_onset_tokens'])}"
        for (smeared, plain), numbers in _checks(results, 2, *kinds)
    )


def _removed(results: Results) -> str:
    return _listed(
        f"`{model}` {percent(numbers['removed_share'])}\u00a0"
        f"[{percent(numbers['removed_low'])},\u00a0{percent(numbers['removed_high'])}]"
        for (model, _), numbers in _checks(results, 3, "induction heads carry the gain")
    )


def _right_places(results: Results) -> str:
    return _listed(
        f"`{model}` {percent(numbers['right_share'])}, at least "
        f"{percent(numbers['right_share_low'])}"
        for (model,), numbers in _checks(results, 4, "induction heads look right")
        if numbers["right_share"] is not None
    )


def _circuits(results: Results) -> str:
    found = [numbers for _, numbers in _checks(results, 5, "circuit as theory says")]
    spans = [
        f"{name} {number(min(values))} to {number(max(values))}"
        for name, key in (("OV", "ov_eigenvalue"), ("QK", "qk_eigenvalue"))
        if (values := [numbers[key] for numbers in found if numbers[key] is not None])
    ]
    return f"{len(found)} heads: {', '.join(spans)}" if spans else ""


def _steps(results: Results) -> str:
    return _listed(
        f"`{small}` to `{large}`: onset {number(numbers['onset_step'])} e-folds, ICL score "
        f"{number(numbers['icl_step'])} nats"
        for (small, large), numbers in _checks(results, 6, "neighbouring depths are close")
    )


def _checks(
    results: Results, argument: int, *kinds: Kind
) -> list[tuple[list[str], dict[str, Any]]]:
    """Models and numbers of the checks of these kinds."""
    found = checks_of(verdict_of(results, argument), *kinds)
    return [(check["models"], check["numbers"]) for check in found]


def _ends(results: Results, model: str, metric: str) -> Sequence[float] | None:
    return results.details[model]["intervals"].get(metric)


def _within(value: float, ends: Sequence[float] | None) -> str:
    if not ends:
        return number(value)
    return f"{number(value)}\u00a0[{number(ends[0])},\u00a0{number(ends[1])}]"


def _listed(parts: Iterable[str]) -> str:
    return "; ".join(parts)
