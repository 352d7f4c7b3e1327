"""The trials, as data: what is done, to which stage."""

from collections.abc import Callable
from functools import partial

from . import harm
from .harm import Trial, each, flip_a_bit, remove, truncate

Act = Callable[[Trial], str]
ONE, OTHER = "attn-2l", "smear-1l"
TRAIN, MEASURE, ABLATE = f"train@{ONE}", f"measure@{ONE}", f"ablate@{ONE}"
BEHAVE = f"behave@{ONE}"
SNAPSHOTS, MEASUREMENTS = f"data/snapshots/{ONE}", f"data/measurements/{ONE}"

_HARMS = {"cut short": truncate, "with a bit flipped": flip_a_bit, "missing": remove}


def _kills() -> dict[str, Act]:
    times = {"fetch": 3, "prepare": 3, TRAIN: 4, MEASURE: 3, ABLATE: 3, BEHAVE: 2}
    times |= {"pca": 2, "summarize": 2, "report": 2}
    return {
        **{
            f"SIGKILL {count}×: {stage}": partial(harm.kill_stage, stage=stage, times=count)
            for stage, count in times.items()
        },
        f"SIGKILL at 50 %: {TRAIN}": lambda t: harm.kill_and_resume(t, TRAIN, 0.5),
        f"SIGKILL at 20, 50, 90 %: {TRAIN}": lambda t: harm.kill_and_resume(
            t, TRAIN, 0.2, 0.5, 0.9
        ),
        f"SIGKILL at 30, 70 %: {MEASURE}": lambda t: harm.kill_and_resume(t, MEASURE, 0.3, 0.7),
        f"SIGKILL at 50 %: {ABLATE}": lambda t: harm.kill_and_resume(t, ABLATE, 0.5),
        f"SIGKILL at 50 %: {BEHAVE}": lambda t: harm.kill_and_resume(t, BEHAVE, 0.5),
        **{
            f"SIGKILL before DVC's record: {stage}": partial(harm.kill_before_recorded, stage=stage)
            for stage in (TRAIN, MEASURE)
        },
    }


def _kills_of_runs() -> dict[str, Act]:
    return {
        f"SIGKILL of {victim} in a run: {stage}": partial(
            harm.kill_run, victim=victim, stage=stage, afresh=afresh
        )
        for victim, stage, afresh in [
            ("runner", "prepare", True),
            ("everything", TRAIN, True),
            ("runner", TRAIN, False),
            ("runner", ABLATE, False),
            ("everything", "fetch", False),
            ("everything", MEASURE, False),
            ("worker", f"train@{OTHER}", False),
            ("worker", MEASURE, False),
            ("dvc", TRAIN, False),
            ("supervisor", ABLATE, False),
        ]
    }


def _damage() -> dict[str, Act]:
    inputs = [
        ("snapshot", SNAPSHOTS, "step-*", MEASURE),
        ("tokens", "data/tokens", "train.bin", TRAIN),
        ("wheel", "data/raw", "wheels/*", "prepare"),
        ("losses", MEASUREMENTS, "losses.npz", "pca"),
        ("manifest", SNAPSHOTS, "manifest.json", MEASURE),
    ]
    said = {"manifest": {truncate: "damaged", remove: "missing"}}
    trials: dict[str, Act] = {}
    for name, folder, pattern, reader in inputs:
        for how, one in _HARMS.items():
            if name == "manifest" and one is flip_a_bit:
                continue  # a flipped bit of a date or a name is as good as another
            words = said.get(name, {}).get(one, "missing" if one is remove else "differs")
            trials[f"{name} {how}"] = partial(
                harm.damaged_input,
                folder=folder,
                pattern=pattern,
                harm=one,
                reader=reader,
                said=words,
            )
    for how, one in _HARMS.items():
        trials[f"state {how}: {TRAIN}"] = partial(
            _resumed_with, stage=TRAIN, damage=each("checkpoints/0*/training.safetensors", one)
        )
        trials[f"downloaded wheel {how}"] = partial(harm.damaged_download, harm=one)
    return trials | {
        f"unfinished snapshot with a bit flipped: {TRAIN}": partial(
            _resumed_with, stage=TRAIN, damage=each("output/step-*", flip_a_bit)
        ),
        f"state's list missing: {MEASURE}": partial(
            _resumed_with, stage=MEASURE, damage=each("checkpoints/0*/output.json", remove)
        ),
        "snapshot cut short, then a run": partial(
            harm.damaged_and_made_again, pattern=f"{SNAPSHOTS}/step-*", harm=truncate
        ),
        "result missing, then a run": partial(
            harm.damaged_and_made_again, pattern="data/results/verdicts.json", harm=remove
        ),
        "object of DVC's cache with a bit flipped": lambda t: harm.damaged_cache(t, SNAPSHOTS),
        "dvc.lock cut short": harm.damaged_lock_file,
    }


def _resumed_with(trial: Trial, stage: str, damage: harm.Damage) -> str:
    return harm.kill_and_resume(trial, stage, 0.4, damage=damage)


def _surroundings() -> dict[str, Act]:
    full = [("fetch", 8_000), ("prepare", 30_000), (TRAIN, 400_000), (MEASURE, 20_000)]
    full += [(ABLATE, 8_000), ("report", 100_000), ("study", 4_000)]
    return {
        **{
            f"disk full: {stage}": partial(harm.fill_the_disk, stage=stage, spare=spare)
            for stage, spare in full
        },
        **{
            f"read-only folder: {stage}": partial(harm.read_only_folder, stage=stage)
            for stage in ("prepare", TRAIN, "summarize")
        },
        f"clock was years ahead: {TRAIN}": lambda t: harm.clock_was_ahead(t, TRAIN),
        "clock goes back a day in a run": lambda t: harm.clock_goes_back(t, TRAIN),
    }


def _two_at_once() -> dict[str, Act]:
    return {
        "make study twice": lambda t: harm.two_runs(t, TRAIN),
        "make study twice at the same moment": lambda t: harm.two_runs_together(t, MEASURE),
        "dvc repro beside make study": lambda t: harm.dvc_beside_run(t, TRAIN),
        "make study beside dvc repro": lambda t: harm.run_beside_dvc(t, TRAIN),
        "dvc repro takes a stage of make study": lambda t: harm.dvc_takes_a_stage(
            t, TRAIN, f"train@{OTHER}"
        ),
        **{
            f"twice at once: {stage}": partial(harm.two_of_a_stage, stage=stage)
            for stage in ("prepare", TRAIN, MEASURE)
        },
    }


TRIALS: dict[str, Act] = _kills() | _kills_of_runs() | _damage() | _surroundings() | _two_at_once()
