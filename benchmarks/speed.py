"""Our speed against that of what people would use instead: `make bench`.

Contenders run in processes of their own and take turns, so that both sides of a ratio see the same
machine; ratios are of one turn, and their median and range are told. With one thread a process,
then with all cores. Writes benchmarks/results.json, which keeps the rows of every kind of processor
that it was run on, and prints its table. TransformerLens runs where `make test-extras` has
installed it. Numbers too small to be normal count as 0 on both sides.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from contextlib import ExitStack
from datetime import date
from pathlib import Path
from typing import Any

from flop import training_flop
from rich.console import Console
from rich.table import Table

from induction.files import read_json, write_json
from induction.model.transformer import TransformerSpec
from induction.paths import StudyPaths
from induction.processor import kind, products

ROOT = Path(__file__).parents[1]
EXTRAS = ROOT / ".venv-extras" / "bin" / "python"
TURNS = 5
LABELS = ("attention only", "with MLP")
# What is compared: our contender, theirs, who they are.
PAIRS = [
    ("training", "ours training", "plain training", "plain PyTorch, eager"),
    ("training", "ours training", "compiled training", "plain PyTorch, compiled"),
    ("training", "ours training", "lens training", "TransformerLens"),
    ("measuring a snapshot", "ours measuring", "lens measuring", "TransformerLens"),
    ("ablating every head", "ours ablating", "lens ablating", "TransformerLens"),
]
TOKENS_A_TURN = 25 * 8 * 256  # of training, as contenders.py has it
MATRIX_FLOP = 20 * 2 * 1024**3


class Contender:
    """A process that waits for its turns."""

    def __init__(self, name: str, threads: int) -> None:
        python = str(EXTRAS) if name.startswith("lens") else sys.executable
        self._process = subprocess.Popen(
            [python, str(ROOT / "benchmarks" / "contenders.py"), name, str(threads)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.ready = self._answer() is not None

    def turn(self) -> dict[str, float]:
        self.begin()
        return self.end()

    def begin(self) -> None:
        assert self._process.stdin
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> dict[str, float]:
        return json.loads(self._answer() or "{}")

    def _answer(self) -> str | None:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith(("ready", "{")):
                return line
        return None

    def __enter__(self) -> "Contender":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()


def flop_of_a_training_token(attn_only: bool) -> int:
    """Multiplications and additions of training the laptop's two-layer shape on a token."""
    return training_flop(TransformerSpec(2, 64, 4, 256, 256, 1024, attn_only, False, 100.0))


def compare(what: str, label: str, ours: str, theirs: str, peer: str, threads: int) -> dict | None:
    """A row of results.json, or None where the peer cannot run here."""
    with ExitStack() as stack:
        sides = [
            stack.enter_context(Contender(f"{name}, {label}", threads)) for name in (ours, theirs)
        ]
        if not all(side.ready for side in sides):
            return None
        turns = [[side.turn() for side in sides] for _ in range(TURNS)]
    ratios = sorted(b["seconds"] / a["seconds"] for a, b in turns)
    seconds = [statistics.median(turn[side]["seconds"] for turn in turns) for side in (0, 1)]
    if what == "training":
        unit, values = "tokens/s", [round(TOKENS_A_TURN / each) for each in seconds]
    else:
        unit, values = "s", [round(each, 3) for each in seconds]
        first, second = (turns[0][side]["check"] for side in (0, 1))
        if abs(first - second) > 1e-4 * abs(second):
            sys.exit(f"{what}: the two disagree: {first} and {second}")
    return {
        "what": f"{what}, {label}, {threads} thread{'s' if threads > 1 else ''}",
        "peer": peer,
        **dict(zip(("ours", "theirs"), values, strict=True)),
        "unit": unit,
        **{
            key: round(value, 2)
            for key, value in (
                ("ratio", statistics.median(ratios)),
                ("low", ratios[0]),
                ("high", ratios[-1]),
            )
        },
    }


def efficiency(label: str) -> dict[str, Any]:
    """Training's arithmetic as a share of what matrix products reach on the same core."""
    with Contender(f"ours training, {label}", 1) as ours, Contender("matrix product", 1) as peak:
        turns = [(ours.turn()["seconds"], peak.turn()["seconds"]) for _ in range(TURNS)]
    flop = flop_of_a_training_token(label == "attention only") * TOKENS_A_TURN
    rates = [(flop / a / 1e9, MATRIX_FLOP / b / 1e9) for a, b in turns]
    shares = sorted(a / b for a, b in rates)
    return {
        "what": f"arithmetic of training, {label}, 1 thread",
        "peer": "matrix products of the same core",
        "ours": round(statistics.median(a for a, _ in rates), 1),
        "theirs": round(statistics.median(b for _, b in rates), 1),
        "unit": "GFLOP/s",
        "ratio": round(statistics.median(shares), 2),
        "low": round(shares[0], 2),
        "high": round(shares[-1], 2),
    }


def side_by_side(label: str, workers: int) -> dict[str, Any]:
    """How much more several processes of one thread each train than one does."""
    name = f"ours training, {label}"
    with ExitStack() as stack:
        team = [stack.enter_context(Contender(name, 1)) for _ in range(workers)]
        turns = []
        for _ in range(TURNS):
            alone = team[0].turn()["seconds"]
            start = time.perf_counter()
            for one in team:
                one.begin()
            for one in team:
                one.end()
            turns.append((alone, time.perf_counter() - start))
    gains = sorted(workers * alone / together for alone, together in turns)
    rates = [TOKENS_A_TURN / alone for alone, _ in turns]
    return {
        "what": f"training, {label}, {workers} workers of 1 thread",
        "peer": "one worker",
        "ours": round(statistics.median(workers * TOKENS_A_TURN / t for _, t in turns)),
        "theirs": round(statistics.median(rates)),
        "unit": "tokens/s",
        "ratio": round(statistics.median(gains), 2),
        "low": round(gains[0], 2),
        "high": round(gains[-1], 2),
    }


def nothing_to_do() -> list[dict[str, Any]]:
    """Seconds of commands that find everything up to date, where it is."""
    planned = [sys.executable, "-m", "dvc", "repro", "--dry"]
    if "up to date" not in subprocess.run(planned, cwd=ROOT, capture_output=True, text=True).stdout:
        print("left out: nothing to do: `make study` has not run here since a change", flush=True)
        return []
    rows = []
    for what, command in (
        ("dvc repro, nothing to do", [sys.executable, "-m", "dvc", "repro"]),
        ("make study, nothing to do", ["make", "--silent", "study"]),
    ):
        seconds = []
        for _ in range(TURNS):
            start = time.perf_counter()
            run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
            seconds.append(round(time.perf_counter() - start, 2))
            assert "up to date" in run.stdout, run.stdout
        row = {"ours": statistics.median(seconds), "theirs": None, "ratio": None}
        rows.append({"what": what, "peer": None, **row, "unit": "s"})
        rows[-1] |= {"low": min(seconds), "high": max(seconds)}
    return rows


def whole_study() -> list[dict[str, Any]]:
    """The last whole run of `make study` here, and what of it the runner and DVC took: of each
    stage, all that is not its command (starting DVC, hashing, DVC's records)."""
    paths = StudyPaths(ROOT)
    notes = [read_json(path) for path in paths.timings.glob("*.json")]
    own = {note["stage"]: note["seconds"] for note in notes}  # the report leaves no note
    if not paths.last_run.is_file() or not own:
        return []
    run = read_json(paths.last_run)
    if not own.keys() <= run["stages"].keys():
        return []  # only a part of the study ran
    seen = sum(run["stages"][stage] for stage in own)
    rows = [
        (f"make study, {run['jobs']} stages at a time", run["seconds"], "s"),
        ("runner and DVC, share of the stages' time", 100 * (1 - sum(own.values()) / seen), "%"),
    ]
    nothing = dict.fromkeys(("peer", "theirs", "ratio", "low", "high"))
    return [{"what": what, "ours": round(x, 1), "unit": unit, **nothing} for what, x, unit in rows]


def table(rows: list[dict[str, Any]]) -> Table:
    shown = Table("what", "against", "ours", "theirs", "unit", "ratio", "range")
    for row in rows:
        numbers = [f"{row[key]:,}" if row[key] is not None else "–" for key in ("ours", "theirs")]
        ratio = f"{row['ratio']}×" if row["ratio"] is not None else "–"
        span = "–" if row["low"] is None else f"{row['low']} – {row['high']}"
        shown.add_row(row["what"], row["peer"] or "–", *numbers, row["unit"], ratio, span)
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help="rows with TEXT in their name")
    only = parser.parse_args().only
    cores = os.cpu_count() or 1
    target = ROOT / "benchmarks" / "results.json"
    rows: list[dict[str, Any]] = []
    for threads in sorted({1, cores}):
        for what, ours, theirs, peer in PAIRS:
            for label in LABELS:
                missing = peer == "TransformerLens" and not EXTRAS.is_file()
                if missing or only not in f"{what}, {label}":
                    continue
                row = compare(what, label, ours, theirs, peer, threads)
                if row is None:
                    print(f"left out: {what}, {label}: {peer} does not run here", flush=True)
                    continue
                print(f"{row['what']}, against {peer}: {row['ratio']}×", flush=True)
                rows.append(row)
    rows += [side_by_side(label, cores) for label in LABELS if only in "workers" and cores > 1]
    rows += [efficiency(label) for label in LABELS if only in "arithmetic"]
    rows += nothing_to_do() if only in "nothing to do" else []
    rows += whole_study() if only in "make study" else []
    found = read_json(target) if target.is_file() else {}
    before = found.get(kind(), {}).get("rows", [])
    about = {"date": date.today().isoformat(), "system": platform.system(), "cores": cores}
    about["products"] = products()
    write_json(
        target, found | {kind(): {**about, "rows": _renewed(before, rows) if only else rows}}
    )
    Console(width=140).print(table(rows))


def _renewed(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Earlier rows, with those measured again in their places and new ones at the end."""
    rows = {(row["what"], row["peer"]): row for row in before}
    return list((rows | {(row["what"], row["peer"]): row for row in now}).values())


if __name__ == "__main__":
    main()
