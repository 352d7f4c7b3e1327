"""`make chaos`: run the trials on copies of a small study, print what came of each."""

import argparse
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .checkout import Checkout, Fault, Skipped, clone_working_tree, expect, kill
from .harm import Trial
from .trials import TRIALS, Act

_DONE = re.compile(r"^done +(\S+) +(\d.*)", re.MULTILINE)
_UNITS = {"s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True)
class Reference:
    """The study after an undisturbed run."""

    checkout: Checkout
    hashes: dict[str, str]
    files: set[str]
    git_status: set[str]
    seconds: dict[str, float]  # of each stage, from the start of its command


@dataclass(frozen=True)
class Outcome:
    name: str
    happened: str
    seconds: float
    verdict: str  # "ok", "FAULT" or "skipped"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--only", default="", metavar="PATTERN", help="trials whose name has it")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--jobs", type=int, default=2, help="trials at a time")
    arguments = parser.parse_args()
    chosen = {name: act for name, act in TRIALS.items() if re.search(arguments.only, name)}
    width = max(map(len, chosen))
    start = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    print(f"{len(chosen)} trials, seed {arguments.seed}, in {folder}", flush=True)
    reference = undisturbed(folder)
    print(f"undisturbed run: {time.monotonic() - start:.0f} s", flush=True)

    def run(numbered: tuple[int, tuple[str, Act]]) -> Outcome:
        number, (name, act) = numbered
        return run_trial(reference, folder / f"{number:02d}", name, act, arguments.seed)

    outcomes = []
    with ThreadPoolExecutor(arguments.jobs) as pool:
        for outcome in pool.map(run, enumerate(chosen.items(), start=1)):
            outcomes.append(outcome)
            print(
                f"{len(outcomes):3}  {outcome.name:{width}}  {outcome.seconds:4.0f} s  "
                f"{outcome.verdict:7}  {outcome.happened}",
                flush=True,
            )
    count = {
        verdict: sum(outcome.verdict == verdict for outcome in outcomes)
        for verdict in ("ok", "FAULT", "skipped")
    }
    minutes = (time.monotonic() - start) / 60
    print(", ".join(f"{n} {verdict}" for verdict, n in count.items()) + f"; {minutes:.1f} minutes")
    if count["FAULT"]:
        print(f"what the faulty trials left is in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def undisturbed(folder: Path) -> Reference:
    """Clone the working tree into a folder, run its small study, and look at everything."""
    checkout = Checkout(folder / "reference", folder / "index")
    clone_working_tree(checkout.root)
    said = checkout.make_study().succeeded("all done").output
    seconds = {stage: _seconds(text) for stage, text in _DONE.findall(said)}
    return Reference(checkout, checkout.hashes(), checkout.files(), checkout.git_status(), seconds)


def _seconds(text: str) -> float:
    """Of a duration as the runner writes it: `8 s`, `2 min 05 s`."""
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+) (\w+)", text))


def run_trial(reference: Reference, root: Path, name: str, act: Act, seed: int) -> Outcome:
    """Make one trial on a copy of the reference, and look whether all is as it was."""
    start = time.monotonic()
    original = reference.checkout.root
    subprocess.run(["cp", "-a", original, root], check=True)  # hard links stay hard links
    trial = Trial(root, original.with_name("index"))
    trial.random = random.Random(f"{seed} {name}")
    trial.seconds = reference.seconds
    verdict = "ok"
    try:
        happened = act(trial)
        check(trial, reference)
    except Fault as fault:
        happened, verdict = str(fault), "FAULT"
    except Skipped as reason:
        happened, verdict = str(reason), "skipped"
    finally:
        kill(trial.processes())
        if verdict != "FAULT":
            _discard(trial)
    return Outcome(name, happened, time.monotonic() - start, verdict)


def check(trial: Trial, reference: Reference) -> None:
    """All outputs to the bit, nothing else left, nothing at work, and nothing more to do."""
    trial.wait_until_all_is_quiet()
    trial.make_study().succeeded("nothing to do")
    _expect_same(trial.hashes(), reference.hashes)
    stray = trial.files() - reference.files
    expect(not stray, f"stray files: {', '.join(sorted(stray))}")
    changed = trial.git_status() - reference.git_status
    expect(not changed, f"git sees changes: {', '.join(sorted(changed))}")
    expect(not trial.damaged_cache(), "DVC's cache holds a damaged object")


def _expect_same(found: dict[str, str], wanted: dict[str, str]) -> None:
    differing = sorted(name for name in found | wanted if found.get(name) != wanted.get(name))
    expect(not differing, f"{len(differing)} outputs differ, such as {''.join(differing[:1])}")


def _discard(trial: Trial) -> None:
    if trial.root.is_mount():
        subprocess.run(["umount", trial.root], check=True)
    shutil.rmtree(trial.root)
    shutil.rmtree(trial.temporary)


if __name__ == "__main__":
    sys.exit(main())
