"""Made results of three tasks, as the report reads them: every number known."""

from dataclasses import replace
from typing import Any, cast

import polars as pl

from induction.rules.head_kinds import head_names
from induction.study.behaviours import Behaviours, Cost, TaskResult
from induction.study.looks import Looks

LOOKS = Looks(0.7, 0.6, 0.8, (0.1, 0.2), (0.05, 0.15), (1, 1), 0.9, 0.85, 0.95)
COPYING = TaskResult(
    behaviour="literal copying",
    variant="random",
    kind="literal",
    chance=0.1,
    accuracy=0.9,
    accuracy_low=0.8,
    accuracy_high=1.0,
    loss=1.0,
    ablated=Cost(2.0, 1.5, 2.5),
    knocked_out=Cost(2.0, 1.5, 2.5),
    ablated_more=Cost(1.5, 1.0, 2.0),
    knocked_out_more=Cost(1.5, 1.0, 2.0),
    head=(1, 0),
    attention=0.7,
    uniform=0.02,
    wrong=0.1,
    uniform_wrong=0.1,
    labels_help=Cost(1.0, 0.5, 1.5),
    looks=Looks(0.8, 0.7, 0.9, (0.1, 0.3), (0.2, 0.4), (1, 0), 0.9, 0.8, 1.0),
)
SORTS = replace(
    COPYING,
    **{"behaviour": "few-shot", "variant": "natural, 8 shots", "kind": "abstract", "chance": 0.5},
    **{"head": (1, 1), "attention": 0.3, "uniform": 0.1, "wrong": 0.1, "uniform_wrong": 0.2},
    loss=0.5,
    looks=LOOKS,
)
GUESSES = replace(
    SORTS,
    **{"behaviour": "abstract patterns", "variant": "categories"},
    **{"accuracy": 0.5, "accuracy_low": 0.4, "accuracy_high": 0.6},
    looks=replace(LOOKS, share=0.8, low=0.75, high=0.85),
)
PROMPT = (
    *((":", 0.5, ""), (" cat", 0.01, ""), (" animal", 0.2, "right"), ("\n", 0.02, "")),
    *((" fig", 0.03, ""), (" fruit", 0.05, "wrong"), ("\n", 0.04, ""), (" dog", 0.15, "")),
)


def made_behaviours(*doings: TaskResult, evil: str = "") -> Behaviours:
    """Tables of these tasks; the prompt of each is PROMPT, with `evil` before it.

    Head 0.h and 1.h attend 0.1 × h more to the right places than equal attention would.
    """
    key = [{"behaviour": d.behaviour, "variant": d.variant} for d in doings]
    shown = [
        {
            **of,
            "head": head_names([d.head]),
            "position": k,
            "text": text,
            "attention": share,
            "place": place,
        }
        | {"answer": " animal"}
        for of, d in zip(key, doings, strict=True)
        for k, (text, share, place) in enumerate(((evil or ":", 0.5, ""), *PROMPT[1:]))
    ]
    attention = [
        {**of, "step": 7, "layer": layer, "head": head}
        | {"attention": 0.1 + 0.1 * head, "uniform": 0.1, "wrong": 0.2, "uniform_wrong": 0.2}
        for of in key
        for layer in range(2)
        for head in range(2)
    ]
    tasks = [{**of, "kind": d.kind, "why_not": None} for of, d in zip(key, doings, strict=True)]
    return Behaviours(
        shown=pl.DataFrame(shown),
        attention=pl.DataFrame(attention),
        tasks=pl.DataFrame(tasks, schema_overrides={"why_not": pl.String}),
        **cast(Any, dict.fromkeys(("behaviours", "examples", "looks"))),
    )
