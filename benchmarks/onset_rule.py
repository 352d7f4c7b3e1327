"""Fix the two numbers of the second onset rule, on the models of params/onset-rule.yaml alone.

Run after `make preset NAME=onset-rule && make study`. For each model and each pair of windows it
takes the fall of the ICL score within one e-fold of tokens: as a share of its whole fall, and over
its noise. The numbers are those that every curve reaches with a quarter to spare, rounded down to
two figures. Written to benchmarks/onset_rule.json with every curve's values.
"""

import json
from math import floor, log10
from pathlib import Path

from induction.config import load_config
from induction.paths import find_study
from induction.study.curves import load_curves
from induction.study.relative_rule import relative_fall
from induction.study.windows import scores_by_window

_SPARE = 0.75


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
    numbers = {
        "min_share": _below(_SPARE * min(row["share"] for row in rows)),
        "min_signal": _below(_SPARE * min(row["signal"] for row in rows)),
    }
    print(numbers)
    target = Path(__file__).with_suffix(".json")
    target.write_text(json.dumps({**numbers, "curves": rows}, indent=2) + "\n")


def _below(value: float) -> float:
    """Two figures of a positive number, rounded down."""
    digits = 1 - floor(log10(value))
    return round(floor(value * 10**digits) / 10**digits, max(digits, 0))


if __name__ == "__main__":
    main()
