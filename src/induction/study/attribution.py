"""How much of a model's in-context learning goes when sets of its heads are taken out."""

from dataclasses import dataclass

import polars as pl

from induction.rules.head_kinds import Head


@dataclass(frozen=True)
class Removed:
    """Share of the ICL gain that an ablation takes away; 1 is all of it.

    low and high: 95 % interval, bootstrap over evaluation examples, of the ablation's effect.
    """

    share: float
    low: float
    high: float


@dataclass(frozen=True)
class Attribution:
    """The ablated sets of one model at its last snapshot (paper, Argument 3).

    control: the one-layer model that the gain is measured over. gain: by how many nats the ICL
    score is better than the control's, on the same examples. random: one entry for each draw of
    as many other heads as there are induction heads.
    """

    control: str
    gain: float
    heads: tuple[Head, ...]
    induction: Removed
    previous_token: Removed | None
    random: tuple[Removed, ...]

    @property
    def random_mean(self) -> float | None:
        """Mean share that the random sets take away; None when no other heads are left to draw."""
        return sum(r.share for r in self.random) / len(self.random) if self.random else None


def read_heads(text: str) -> tuple[Head, ...]:
    """The heads that a table names: "1.0 1.3" → heads 0 and 3 of layer 1."""
    pairs = (name.split(".") for name in text.split())
    return tuple((int(layer), int(head)) for layer, head in pairs)


def attribute(sets: pl.DataFrame, control: str, gain: float) -> Attribution | None:
    """Read the last snapshot's sets of one model set to zero (`data/ablations/M/sets.parquet`).

    None when the model has no induction heads, or no gain that a share could be taken of.
    """
    last = sets.filter((pl.col("step") == pl.col("step").max()) & (pl.col("kind") == "zero"))
    if gain <= 0 or last.filter(pl.col("set") == "induction").is_empty():
        return None

    def removed(name: str) -> list[Removed]:
        rows = last.filter(pl.col("set") == name).sort("draw")
        columns = ("icl_attribution", "icl_low", "icl_high")
        return [Removed(*(value / gain for value in row)) for row in rows.select(columns).rows()]

    previous = removed("previous_token")
    return Attribution(
        control=control,
        gain=gain,
        heads=read_heads(last.filter(pl.col("set") == "induction")["heads"].item()),
        induction=removed("induction")[0],
        previous_token=previous[0] if previous else None,
        random=tuple(removed("random")),
    )
