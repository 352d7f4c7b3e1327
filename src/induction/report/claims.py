"""The paper's claims beside this study's numbers: one row a claim."""

from collections.abc import Iterable, Sequence

from induction.report.results import Results
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
                f"{results.verdict(argument).outcome} ({argument})",
            )
            for argument, claim, paper, ours, differs in rows
        ),
    )


def _scores(results: Results) -> str:
    return _listed(
        f"`{name}` {_within(model.icl_score, model.intervals.get('icl_score'))}"
        for name, model in results.models.items()
        if model.entry.n_layers > 1 and model.entry.plain
    )


def _one_layer(results: Results) -> str:
    found = results.verdict(1).checks_of("no change in one layer")
    if not found:
        return ""
    changed = sum(check.numbers["onset_tokens"] is not None for check in found)
    best = max(check.value("max_prefix_matching") for check in found)
    return f"{changed} of {len(found)} change; best prefix matching {number(best)}"


def _smeared(results: Results) -> str:
    kinds: tuple[Kind, ...] = ("change with smeared keys alone", "change earlier with smeared keys")
    return _listed(
        f"`{smeared}` {onset(check.numbers['onset_tokens'])} against `{plain}` "
        f"{onset(check.numbers['plain_onset_tokens'])}"
        for check in results.verdict(2).checks_of(*kinds)
        for smeared, plain in [check.models]
    )


def _removed(results: Results) -> str:
    return _listed(
        f"`{check.models[0]}` {percent(check.numbers['removed_share'])}\u00a0"
        f"[{percent(check.numbers['removed_low'])},\u00a0{percent(check.numbers['removed_high'])}]"
        for check in results.verdict(3).checks_of("induction heads carry the gain")
    )


def _right_places(results: Results) -> str:
    return _listed(
        f"`{check.models[0]}` {percent(check.numbers['right_share'])}, at least "
        f"{percent(check.numbers['right_share_low'])}"
        for check in results.verdict(4).checks_of("induction heads look right")
        if check.numbers["right_share"] is not None
    )


def _circuits(results: Results) -> str:
    found = results.verdict(5).checks_of("circuit as theory says")
    spans = [
        f"{name} {number(min(values))} to {number(max(values))}"
        for name, key in (("OV", "ov_eigenvalue"), ("QK", "qk_eigenvalue"))
        if (values := [value for check in found if (value := check.numbers[key]) is not None])
    ]
    return f"{len(found)} heads: {', '.join(spans)}" if spans else ""


def _steps(results: Results) -> str:
    return _listed(
        f"`{small}` to `{large}`: onset {number(check.numbers['onset_step'])} e-folds, ICL score "
        f"{number(check.numbers['icl_step'])} nats"
        for check in results.verdict(6).checks_of("neighbouring depths are close")
        for small, large in [check.models]
    )


def _within(value: float, ends: Sequence[float] | None) -> str:
    if not ends:
        return number(value)
    return f"{number(value)}\u00a0[{number(ends[0])},\u00a0{number(ends[1])}]"


def _listed(parts: Iterable[str]) -> str:
    return "; ".join(parts)
