"""Choose the settings of section `llc` of the parameters, as reports/beyond.md says.

Run after the laptop study. It samples around the last snapshot of smear-2l, which is never asked.
Written to benchmarks/llc_calibration.json: what was chosen, every trial with its mean λ̂, the
standard deviation between chains, the rise of the loss as a share of the snapshot's, and seconds of
one thread.
"""

import time
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Any

import numpy as np

from induction.config import Llc, load_config
from induction.data.tokens import load_tokens
from induction.errors import StudyError
from induction.files import write_json
from induction.llc.snapshots import coefficients
from induction.model.compute import set_up_torch
from induction.model.weights import list_snapshots, load_snapshot
from induction.paths import find_study
from induction.processor import processor

_MODEL = "smear-2l"
_GAMMAS = tuple(10 ** (half / 2) for half in range(4, 11))
_STEPS = (0.3, 0.1, 0.03, 0.01)  # ε γ
_DRAWS = (50, 100, 200)


def main() -> None:
    paths = find_study()
    config = load_config(paths.params)
    set_up_torch(config.compute)
    train = load_tokens(paths.tokens, "train")
    snapshot = list_snapshots(paths.snapshots(_MODEL))[-1]
    trials: list[dict[str, Any]] = []

    def sample(gamma: float, step: float, draws: int) -> np.ndarray:
        """nβ times the rise of each draw, [chains, draws]: λ̂ is its mean. NaN where a chain leaves
        all bounds, which fits no condition."""
        settings = tried.model_copy(
            update={"gamma": gamma, "epsilon": step / gamma, "draws": draws}
        )
        began = time.process_time()
        trial: dict[str, Any] = settings.model_dump(include={"gamma", "epsilon", "draws"})
        trials.append(trial)
        try:
            model = load_snapshot(snapshot.path)
            found = coefficients(model, train, settings, snapshot.step, lambda share: None)
        except StudyError as error:
            trial["problem"] = str(error)
            print(trial, flush=True)
            return np.full((settings.chains, draws), np.nan)
        trial["llc"] = round(float(found["llc"].mean()), 2)
        trial["spread"] = round(float(found["llc"].std(ddof=1)), 2)
        trial["rise"] = round(float(found["rises"].mean() / found["loss"].mean()), 4)
        trial["seconds"] = round(time.process_time() - began, 1)
        print(trial, flush=True)
        return settings.n_beta * found["rises"]

    tokens = config.llc.batch * config.model.n_ctx
    tried: Llc = config.llc.model_copy(update={"n_beta": float(round(tokens / log(tokens)))})
    gamma = _GAMMAS[-1]
    for gamma in _GAMMAS:
        sample(gamma, 0.1, _DRAWS[0])
        if 0 < trials[-1].get("rise", np.inf) <= 0.1:
            break
    means = {step: sample(gamma, step, _DRAWS[0]).mean() for step in _STEPS}
    alike = (
        large for large, small in pairwise(_STEPS) if abs(means[large] / means[small] - 1) <= 0.1
    )
    step = next(alike, _STEPS[-2])
    adds = sample(gamma, step, _DRAWS[-1])
    found = {count: adds[:, :count].mean(axis=1) for count in _DRAWS}
    enough = [count for count, llc in found.items() if llc.std(ddof=1) <= llc.mean() / 20]
    chosen = {
        "n_beta": tried.n_beta,
        "gamma": gamma,
        "epsilon": step / gamma,
        "burn_in": tried.burn_in,
        "draws": enough[0] if enough else _DRAWS[-1],
    }
    print(chosen)
    about = {"model": _MODEL, "step": snapshot.step, "processor": processor(), **chosen}
    write_json(Path(__file__).with_suffix(".json"), {**about, "trials": trials})


if __name__ == "__main__":
    main()
