"""What each figure shows, as a table: the files behind the report's data links.

Tokens are tokens trained, losses and scores in nats; `in_band` marks the model's phase change.
"""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from induction.report.figures.seeds import by_kind, median
from induction.report.figures.training import shallow_models
from induction.report.results import Results
from induction.rules.curves import Curves
from induction.rules.intervals import mean_bounds
from induction.study.kinds import kind_label

Table = Callable[[Results], pl.DataFrame]


def curves(results: Results) -> pl.DataFrame:
    """A row for each model and snapshot: loss, ICL score with its 95 % interval, best heads. And
    one for the median over the seeds of each kind that has several."""
    return _curves_of(results, list(results.curves))


def shallow_curves(results: Results) -> pl.DataFrame:
    """The same for models of one and two layers."""
    return _curves_of(
        results, [name for names in shallow_models(results).values() for name in names]
    )


def _curves_of(results: Results, names: list[str]) -> pl.DataFrame:
    single = [_curves(results, name) for name in names]
    kinds = by_kind(results, names).values()
    return pl.concat(
        [*single, *(_medians(results, seeds) for seeds in kinds if seeds[1:])], how="diagonal"
    )


def _medians(results: Results, seeds: list[str]) -> pl.DataFrame:
    quantities: dict[str, Callable[[Curves], np.ndarray]] = {
        "icl_score": lambda own: own.icl_score,
        "prefix_matching": lambda own: own.best_head("prefix_matching"),
        "previous_token": lambda own: own.best_head("previous_token"),
        "loss": lambda own: own.loss,
    }
    columns = {
        name: median([take(results.curves[n]) for n in seeds]) for name, take in quantities.items()
    }
    tokens = results.curves[seeds[0]].tokens[: len(columns["loss"])]
    title = f"{kind_label(seeds)}, median of {len(seeds)} seeds"
    return pl.DataFrame({"model": title, "tokens": tokens, **columns})


def _curves(results: Results, name: str) -> pl.DataFrame:
    own = results.curves[name]
    low, high = mean_bounds(own.late - own.early)
    table = pl.DataFrame(
        {
            "model": name,
            "tokens": own.tokens,
            "icl_score": own.icl_score,
            "icl_low": low,
            "icl_high": high,
            "prefix_matching": own.best_head("prefix_matching"),
            "previous_token": own.best_head("previous_token"),
            "loss": own.loss,
        }
    )
    return _mark_band(results, table)


def _by_model(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One table of all, the model in front."""
    named = (table.select(pl.lit(name).alias("model"), pl.all()) for name, table in tables.items())
    return pl.concat(named)


def _mark_band(results: Results, table: pl.DataFrame) -> pl.DataFrame:
    bands = {name: model.band_tokens or (0.0, -1.0) for name, model in results.models.items()}
    start = pl.col("model").replace_strict({name: band[0] for name, band in bands.items()})
    end = pl.col("model").replace_strict({name: band[1] for name, band in bands.items()})
    return table.with_columns(in_band=pl.col("tokens").is_between(start, end))


def heads(*scores: str) -> Table:
    """Scores of every head of every model at every snapshot."""

    def table(results: Results) -> pl.DataFrame:
        columns = ("tokens", "layer", "head", *scores)
        own = {name: curves.heads.select(columns) for name, curves in results.curves.items()}
        return _mark_band(results, _by_model(own))

    return table


def ablated_heads(*effects: str) -> Table:
    """What setting each head to zero does, at every ablated snapshot."""

    def table(results: Results) -> pl.DataFrame:
        columns = ("tokens", "layer", "head", *effects)
        zeroed = pl.col("kind") == "zero"
        return _by_model(
            {
                name: own.heads.filter(zeroed).select(columns)
                for name, own in results.ablations.items()
            }
        )

    return table


def ablated_sets(results: Results) -> pl.DataFrame:
    """Single heads and sets of heads set to zero at the last snapshot."""
    columns = ("set", "heads", "icl_attribution", "icl_low", "icl_high")
    rows = []
    for name, own in results.ablations.items():
        single = own.last_heads.with_columns(
            pl.lit("single").alias("set"),
            pl.format("{}.{}", "layer", "head").alias("heads"),
            pl.lit(None, pl.Float64).alias("icl_low"),
            pl.lit(None, pl.Float64).alias("icl_high"),
        )
        model = pl.lit(name).alias("model")
        rows += [table.select(model, *columns) for table in (single, own.last_sets)]
    return pl.concat(rows)


def last_heads(results: Results) -> pl.DataFrame:
    """Weights and probes of every head at the last snapshot."""
    columns = (
        *("layer", "head", "ov_eigenvalue", "copying", "qk_eigenvalue", "prefix_matching"),
        "total_copying",
    )
    return _by_model({name: own.last_heads.select(columns) for name, own in results.curves.items()})


def loss_map(field: str) -> Table:
    """A field of the loss maps of the models listed: rows are models and tokens trained, columns
    indices."""

    def table(results: Results) -> pl.DataFrame:
        rows = []
        for name in results.listed:
            if (found := results.loss_maps[name]) is not None:
                values = getattr(found, field)
                columns = {f"index {i:.3f}": values[:, k] for k, i in enumerate(found.index)}
                rows.append(pl.DataFrame({"model": name, "tokens": found.tokens, **columns}))
        return pl.concat(rows) if rows else pl.DataFrame({"model": []})

    return table


def trajectories(results: Results) -> pl.DataFrame:
    """Every snapshot in the first two components of the per-token losses."""
    scores = results.loss_space.scores.select("model", "step", "tokens", "fitted", "pc1", "pc2")
    return _mark_band(results, scores)
