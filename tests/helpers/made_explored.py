"""A small made study for the explorer: two models on two passages, every number known."""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
from made_behaviours import GUESSES, SORTS, made_behaviours
from made_summary import model

from induction.config import load_config
from induction.explore.passages import Passage
from induction.explore.store import OnPassages, save_model, save_passages
from induction.files import published_folder
from induction.paths import StudyPaths
from induction.report.results import Results, StoredLossSpace
from induction.rules.curves import Curves
from induction.rules.head_kinds import HeadKinds
from induction.rules.phase_change import PhaseChange
from induction.study.pca import Explained

ROOT = Path(__file__).parents[2]
TOKENS = np.array([0, 2000, 4000, 8000, 16000, 32000, 64000])
BAND = (4000, 16000)
PICKED = np.array([0, 3, 6])
EVIL = "</script><script>window.broken = 1</script>"
TEXTS = ("a", "b", "  ", "\n", "a", "b", EVIL, "$x$")
IDS = (1, 2, 3, 4, 1, 2, 5, 6)
HELPED, CHOSEN, COPY = 5, 4, 1  # "b" after the second "a", which looks at the first "b"
FALL = 0.75  # nats per e-fold of tokens, of the loss of the helped token
HEADS = {"attn-1l": (1, 2), "attn-2l": (2, 2)}
INDUCTION = (1, 1)


def made_results(root: Path) -> Results:
    """Results with what the interactive parts read, and data/explorer below `root`.

    Every head looks at the token itself, but the induction head of attn-2l in the first passage at
    the last snapshot: from CHOSEN, it looks at COPY. Losses move by straight lines in ln(tokens).
    """
    paths = StudyPaths(root)
    config = load_config(ROOT / "params" / "smoke.yaml")
    config = config.model_copy(update={"models": {name: config.models[name] for name in HEADS}})
    with published_folder(paths.explorer, root / ".scratch") as folder:
        save_passages(folder, [Passage(IDS, TEXTS, 1), Passage(IDS[::-1], TEXTS[::-1], 1)])
        for name in HEADS:
            save_model(folder, name, _on_passages(name))
    return Results(
        paths=paths,
        config=config,
        curves={name: _curves(name) for name in HEADS},
        experiments={},
        loss_space=_loss_space(),
        models={
            "attn-1l": model("attn-1l", 1, behaviours=()),
            "attn-2l": replace(
                model("attn-2l", 2, BAND[0], behaviours=(SORTS, GUESSES)),
                change=PhaseChange(BAND[0], BAND, 0.5, 1.0, 0.8, True),
                kinds=HeadKinds((INDUCTION,), ((0, 0), INDUCTION)),
            ),
        },
        behaviours={
            "attn-1l": made_behaviours(),
            "attn-2l": made_behaviours(SORTS, GUESSES, evil=EVIL),
        },
        **cast(Any, dict.fromkeys(_UNUSED)),
    )


_UNUSED = (
    *("corpus", "ablations", "divergences", "coefficients", "windows", "verdicts", "over_seeds"),
    *("beyond", "timings", "environment", "steering"),
)


def _on_passages(name: str) -> OnPassages:
    length, (layers, heads) = len(IDS), HEADS[name]
    pattern = np.zeros((len(PICKED), 2, layers, heads, length, length))
    pattern[..., np.arange(length), np.arange(length)] = 1
    losses = np.full((len(TOKENS), 2, length - 1), 3.0, np.float32)
    losses += 0.1 * np.log(np.maximum(TOKENS, 1))[:, None, None]
    if name == "attn-2l":
        pattern[-1, 0, *INDUCTION, CHOSEN] = 0
        pattern[-1, 0, *INDUCTION, CHOSEN, [COPY, 2]] = 0.8, 0.2
        losses[:, 0, HELPED - 1] = 9 - FALL * np.log(np.maximum(TOKENS, 1))
    rows, columns = np.tril_indices(length)
    triangle = np.round(255 * pattern[..., rows, columns]).astype(np.uint8)
    return OnPassages(TOKENS, losses, PICKED, triangle)


def _curves(name: str) -> Curves:
    layers, heads = HEADS[name]
    rows = [
        {
            "step": step,
            "tokens": tokens,
            "layer": layer,
            "head": head,
            "previous_token": 0.9 if (layer, head) == (0, 0) else 0.1,
            "prefix_matching": step / 10 if (layer, head) == INDUCTION else 0.01,
        }
        for step, tokens in enumerate(TOKENS.tolist())
        for layer in range(layers)
        for head in range(heads)
    ]
    steps = np.arange(len(TOKENS))
    score = -0.1 * steps if name == "attn-2l" else np.zeros(len(TOKENS))
    unused = ("loss", "early", "late", "per_index", "per_token", "prefix_sequences")
    return Curves(
        step=steps,
        tokens=TOKENS,
        icl_score=score,
        heads=pl.DataFrame(rows),
        **cast(Any, dict.fromkeys(unused)),
    )


def _loss_space() -> StoredLossSpace:
    rows = [
        {"model": name, "tokens": tokens, "pc1": float(step), "pc2": float(step * side)}
        for side, name in enumerate(HEADS)
        for step, tokens in enumerate(TOKENS.tolist())
    ]
    return StoredLossSpace(
        Explained([0.5, 0.25], [0.5, 0.25], 0.0, 9, {}), pl.DataFrame(rows), pl.DataFrame()
    )
