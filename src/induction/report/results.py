"""Everything that the report draws on, read from the files that the study wrote."""

from dataclasses import dataclass
from typing import Any

from induction.config import StudyConfig, load_config
from induction.data.tokens import TokensMeta, load_meta
from induction.files import read_json
from induction.paths import StudyPaths, find_study
from induction.study.curves import Curves, load_curves


@dataclass(frozen=True)
class Results:
    """The study's outcome. `metrics` and `curves` are by model, in the order of params.yaml."""

    paths: StudyPaths
    config: StudyConfig
    corpus: TokensMeta
    curves: dict[str, Curves]
    metrics: dict[str, dict[str, Any]]
    verdicts: list[dict[str, Any]]
    seconds: dict[str, float]
    environment: dict[str, str]


def load_results(paths: StudyPaths | None = None) -> Results:
    """Read the results around the working directory.

    Raises StudyError naming the first file that is missing or damaged.
    """
    paths = paths or find_study()
    config = load_config(paths.params)
    metrics = read_json(paths.metrics)["models"]
    timings = [read_json(path) for path in sorted(paths.timings.glob("*.json"))]
    first = next(iter(config.models))
    return Results(
        paths=paths,
        config=config,
        corpus=load_meta(paths.tokens),
        curves={name: load_curves(paths, name) for name in config.models},
        metrics={name: metrics[name] for name in config.models},
        verdicts=read_json(paths.verdicts),
        seconds={timing["stage"]: timing["seconds"] for timing in timings},
        environment=read_json(paths.measurements(first) / "manifest.json")["environment"],
    )
