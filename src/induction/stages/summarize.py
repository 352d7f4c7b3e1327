"""Stage summarize: what was measured of all models → metrics, verdicts and curves."""

import polars as pl

from induction.config import StudyConfig
from induction.files import verify_folder, write_json, write_record, write_text
from induction.files.tables import read_table
from induction.paths import StudyPaths
from induction.rules.curves import Curves, load_curves
from induction.stages import run_stage
from induction.study.behaviours import load_behaviours
from induction.study.beyond import Beyond
from induction.study.beyond.batch import batch_law
from induction.study.beyond.bigrams import bigram_stage, load_divergences
from induction.study.beyond.bottleneck import bottleneck
from induction.study.beyond.control import judge_control
from induction.study.beyond.experiments import find_zoo
from induction.study.beyond.foresight import foresee
from induction.study.beyond.hapax import is_it_copying
from induction.study.beyond.llc import geometry, load_all_coefficients
from induction.study.beyond.repetition import repetition
from induction.study.beyond.steering import Steered, load_steered
from induction.study.over_seeds import OverSeeds, gather, judge_over_seeds, mean_bumps
from induction.study.summary import ModelSummary, summarize
from induction.study.verdicts import Verdict, judge
from induction.study.windows import icl_windows

_DIGITS = 7  # of whole tokens none is lost below ten million; published runs stay small


def main(paths: StudyPaths, config: StudyConfig) -> None:
    curves = {name: load_curves(paths, name) for name in config.studied}
    pairs, sets, key_paths = {}, {}, {}
    for name in config.studied:
        verify_folder(paths.ablations(name))
        pairs[name] = read_table(paths.measurements(name) / "circuits.parquet")
        sets[name] = read_table(paths.ablations(name) / "sets.parquet")
        key_paths[name] = read_table(paths.ablations(name) / "key_paths.parquet")
    usual = config.usual
    behaviours = {name: load_behaviours(paths, name) for name in usual.studied}
    summaries = summarize(curves, pairs, sets, behaviours, config)
    seeds = gather(summaries, curves, pairs, sets, key_paths, config)
    table = pl.concat(_curve_table(name, own) for name, own in curves.items())
    write_text(paths.curves, table.write_csv(float_precision=5))
    write_text(paths.windows, _windows(curves, usual).write_csv(float_precision=5))
    asked = [s for s in summaries if s.name in usual.studied]
    write_record(paths.verdicts, list[Verdict], judge(asked, config.verdicts))
    over_seeds = OverSeeds(
        judge_over_seeds(seeds, config.verdicts),
        mean_bumps(seeds, curves, config.phase_change, config.evaluation.seed),
    )
    write_record(paths.seeds, OverSeeds, over_seeds)
    divergences = {name: load_divergences(paths, name) for name in usual.models}
    steered = {name: load_steered(paths, name) for name in usual.studied}
    plain = [name for name, entry in config.studied.items() if entry.plain]
    zoo = find_zoo(summaries, curves)
    beyond = Beyond(
        bigram_stage(summaries, divergences, config.evaluation.seed),
        foresee(seeds, curves, pairs, divergences, config),
        judge_control(steered, plain, config.verdicts),
        geometry(summaries, load_all_coefficients(paths, config), config),
        batch_law(zoo, config.train.batch_tokens),
        is_it_copying(zoo),
        bottleneck(zoo),
        repetition(zoo),
    )
    write_record(paths.beyond, Beyond, beyond, _DIGITS)
    write_text(paths.steering_curves, _steering(steered).write_csv(float_precision=5))
    details = {s.name: s for s in summaries}
    write_record(paths.details, dict[str, ModelSummary], details, _DIGITS)
    write_json(paths.metrics, {"models": {s.name: s.metrics() for s in summaries}})


def _windows(curves: dict[str, Curves], config: StudyConfig) -> pl.DataFrame:
    """The ICL score and onset of every model of the study for every pair of windows."""
    choices, rule = config.icl_windows, config.phase_change
    return pl.concat(
        icl_windows(own.tokens, own.per_index, choices.early, choices.late, rule).select(
            pl.lit(name).alias("model"), pl.all()
        )
        for name in config.studied
        for own in [curves[name]]
    )


def _steering(steered: dict[str, Steered]) -> pl.DataFrame:
    """The measures of every model with induction heads over the scale of these."""
    return pl.concat(
        own.curves().select(pl.lit(name).alias("model"), pl.all()) for name, own in steered.items()
    )


def _curve_table(name: str, curves: Curves) -> pl.DataFrame:
    """One row for each snapshot: what DVC plots and the report's data links show."""
    return pl.DataFrame(
        {
            "model": name,
            "tokens": curves.tokens,
            "loss": curves.loss,
            "icl_score": curves.icl_score,
            "prefix_matching": curves.best_head("prefix_matching"),
            "previous_token": curves.best_head("previous_token"),
        }
    )


if __name__ == "__main__":
    run_stage("summarize", main)
