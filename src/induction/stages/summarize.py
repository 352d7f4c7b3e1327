"""Stage summarize: measurements of all models → metrics, verdicts and curves."""

from dataclasses import asdict

import polars as pl

from induction.config import StudyConfig
from induction.files import write_json, write_text
from induction.paths import StudyPaths
from induction.stages import run_stage
from induction.study.curves import Curves, load_curves
from induction.study.summary import summarize_model
from induction.study.verdicts import judge


def main(paths: StudyPaths, config: StudyConfig) -> None:
    curves = {name: load_curves(paths, name) for name in config.models}
    summaries = [summarize_model(name, curves[name], config) for name in config.models]
    verdicts = judge(summaries, config.verdicts)
    for name in config.models:
        write_text(paths.curve(name), _curve_table(curves[name]).write_csv(float_precision=5))
    write_json(paths.verdicts, [asdict(verdict) for verdict in verdicts])
    write_json(paths.metrics, {"models": {s.name: s.metrics() for s in summaries}})


def _curve_table(curves: Curves) -> pl.DataFrame:
    """One row for each snapshot: what DVC plots and the report's data links show."""
    return pl.DataFrame(
        {
            "tokens": curves.tokens,
            "loss": curves.loss,
            "icl_score": curves.icl_score,
            "prefix_matching": curves.best_head("prefix_matching"),
            "previous_token": curves.best_head("previous_token"),
        }
    )


if __name__ == "__main__":
    run_stage("summarize", main)
