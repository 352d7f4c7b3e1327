"""Fix the numbers of the second onset rule, on the models of params/onset-rule.yaml alone.

Run after `make preset NAME=onset-rule && make study`. For each model and each pair of windows it
takes the fall of the ICL score within one e-fold of tokens: as a share of its whole fall, and over
its noise. `min_share` is a half, the greater part. `min_signal` is the middle of the widest range
in which most models get one answer from all pairs of windows, to one decimal. Written to
benchmarks/onset_rule.json with every curve's values.
"""

from itertools import pairwise
from pathlib import Path

from induction.config import load_config
from induction.files import write_json
from induction.paths import find_study
from induction.rules.curves import load_curves
from induction.study.relative_rule import relative_fall
from induction.study.windows import scores_by_window

_MIN_SHARE = 0.5


def main() -> None:
    paths = find_study()
    config = load_config(paths.params)
    if config.name != "onset-rule":
        raise SystemExit(
            "params.yaml: name: run it on the preset onset-rule: its seeds are kept for it"
        )
    rows = []
    for name in config.models:
        curves = load_curves(paths, name)
        scores = scores_by_window(
            curves.per_index, config.icl_windows.early, config.icl_windows.late
        )
        for windows, score in scores.items():
            fall = relative_fall(curves.tokens, score, config.phase_change)
            if fall is None:
                raise SystemExit(f"{name}: no fall to measure with windows {windows}")
            rows.append({"model": name, "windows": windows, **vars(fall)})
    numbers = {"min_share": _MIN_SHARE, "min_signal": _signal(rows)}
    print(numbers)
    write_json(Path(__file__).with_suffix(".json"), {**numbers, "curves": rows})


def _signal(rows: list[dict]) -> float:
    """The middle of the widest range of thresholds with the most models of one answer."""
    steps = sorted({row["signal"] for row in rows})
    ranges = [(_agreeing(rows, (low + high) / 2), high - low, low) for low, high in pairwise(steps)]
    _, width, low = max(ranges)
    return round(low + width / 2, 1)


def _agreeing(rows: list[dict], threshold: float) -> int:
    """How many models change with all pairs of windows or with none."""
    answers: dict[str, set[bool]] = {}
    for row in rows:
        change = row["share"] >= _MIN_SHARE and row["signal"] >= threshold
        answers.setdefault(row["model"], set()).add(change)
    return sum(len(found) == 1 for found in answers.values())


if __name__ == "__main__":
    main()
