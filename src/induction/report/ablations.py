"""Tables and sentences on what goes when heads are taken out."""

from collections.abc import Sequence

import polars as pl

from induction.report.results import Results
from induction.report.sentences import sentence
from induction.report.text import markdown_table, number, percent
from induction.rules.head_kinds import head_names
from induction.study.attribution import Removed
from induction.study.heads import of_heads


def ablated_sets(results: Results) -> str:
    """Share of the ICL gain that goes with each set of heads, at the end of training."""
    rows = []
    for name, model in results.models.items():
        found = model.attribution
        if found is None:
            continue
        rows.append(
            (
                f"`{name}`",
                f"`{found.control}`",
                number(found.gain),
                head_names(found.heads),
                _removed(found.induction),
                _removed(found.previous_token),
                _random_sets([draw.share for draw in found.random]),
            )
        )
    return markdown_table(
        (
            "model",
            "control",
            "gain (nats)",
            "induction heads (layer.head)",
            "without them (95 % interval)",
            "without previous-token heads",
            "without random others",
        ),
        "llrlrrr",
        rows,
    )


def _removed(removed: Removed | None) -> str:
    if removed is None:
        return "–"
    interval = f"{percent(removed.low)} to {percent(removed.high)}"
    return f"{percent(removed.share)} ({interval})"


def _random_sets(shares: Sequence[float]) -> str:
    if len(shares) < 2:
        return f"{percent(shares[0])} (1 set)" if shares else "–"
    return f"{percent(min(shares))} to {percent(max(shares))} ({len(shares)} sets)"


def loss_sentence(results: Results) -> str:
    """What the same sets are worth for the loss on all tokens, at the end of training."""
    without: dict[str, list[float]] = {"induction": [], "random": []}
    for own in results.ablations.values():
        if "induction" in own.last_sets["set"]:
            for kind, found in without.items():
                changes = own.last_sets.filter(pl.col("set") == kind)["loss_change"]
                if len(changes):
                    found.append(float(changes.mean()))  # pyright: ignore[reportArgumentType]
    return sentence("ablations", "loss", **without) if all(without.values()) else ""


def ablation_kinds(results: Results) -> str:
    """What each induction head is worth alone, by every way to take it out."""
    kinds = ("zero", "mean", "resample", "pattern_preserving")
    rows = []
    for name, own in results.ablations.items():
        last = own.heads.filter(pl.col("step") == pl.col("step").max())
        for head in results.models[name].kinds.induction:
            found = dict(
                last.filter(of_heads([head])).select("kind", "icl_attribution").iter_rows()
            )
            effects = (number(found.get(kind)) for kind in kinds)
            rows.append((f"`{name}`", head_names([head]), *effects))
    header = ("model", "head", "zero", "mean", "another text's", "zero, patterns kept")
    return markdown_table(header, "llrrrr", rows)


def previous_token_paths(results: Results) -> str:
    """What the previous-token heads of each model are worth, with later patterns free and kept."""
    rows = []
    for name, last in _previous_token_sets(results).items():
        effects = []
        for kind in ("zero", "pattern_preserving"):
            row = last.filter(pl.col("kind") == kind).row(0, named=True)
            interval = f"{number(row['icl_low'])} to {number(row['icl_high'])}"
            effects.append(f"{number(row['icl_attribution'])} ({interval})")
        rows.append((f"`{name}`", last["heads"][0], *effects))
    return markdown_table(("model", "heads", "zero", "zero, patterns kept"), "llrr", rows)


def previous_token_sentence(results: Results) -> str:
    """What became of in-context learning without these heads where later patterns were kept."""
    kept = [
        last.filter(pl.col("kind") == "pattern_preserving").row(0, named=True)
        for last in _previous_token_sets(results).values()
    ]
    return sentence(
        "ablations",
        "previous_token",
        models=len(kept),
        worse=[row["icl_attribution"] for row in kept if row["icl_low"] > 0],
        better=[-row["icl_attribution"] for row in kept if row["icl_high"] < 0],
    )


def _previous_token_sets(results: Results) -> dict[str, pl.DataFrame]:
    """All previous-token heads taken out at the end of training, of models with induction heads."""
    sets = {
        name: own.sets.filter(
            (pl.col("step") == pl.col("step").max()) & (pl.col("set") == "previous_token")
        )
        for name, own in results.ablations.items()
        if name in results.with_induction_heads
    }
    return {name: last for name, last in sets.items() if not last.is_empty()}
