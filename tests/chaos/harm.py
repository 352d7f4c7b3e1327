"""What can be done to a checkout. Each function ends when the documented way on has been taken."""

import os
import random
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .checkout import RUNNER, Checkout, Command, Skipped, digest, expect, kill, progress_of

Damage = Callable[[Path], None]
_PROGRESS = "INDUCTION_PROGRESS"
_YEARS_AHEAD = 10 * 365 * 86400
_GROWN = "1g"


class Trial(Checkout):
    """A checkout in which a trial is made.

    random: drawn from for moments and places. seconds: how long each stage takes undisturbed,
    from the start of its command.
    """

    random: random.Random
    seconds: dict[str, float]


# Killing


def kill_stage(trial: Trial, stage: str, times: int = 1) -> str:
    """SIGKILL at random moments of a stage's command, then the same command to its end."""
    hits, tries, span = 0, 0, trial.seconds[stage]
    while hits < times and tries < 10 * times:
        tries += 1
        _delete_output(trial, stage)  # as DVC does before it runs a stage
        start = time.monotonic()
        moment = start + trial.random.uniform(0.1, 1.0) * span
        command = trial.start(*trial.stage(stage))
        if command.wait_for(lambda until=moment: time.monotonic() >= until):
            command.kill()
            hits += 1
        else:  # it is faster than it was
            span = min(span, time.monotonic() - start)
    expect(hits == times, f"hit only {hits} times")
    trial.run(*trial.stage(stage)).succeeded()
    return f"killed {hits}×, then ran to the end"


def kill_and_resume(trial: Trial, stage: str, *shares: float, damage: Damage | None = None) -> str:
    """SIGKILL when so much of the work is done; the last run must go on, or say why it cannot."""
    _delete(trial.output_of(stage))
    for share in shares:
        _killed_at(trial, stage, share)
    home = _workplace(trial, stage)
    if damage:
        damage(next(home.iterdir()))
    said = "cannot go on" if damage else "going on after"
    done = trial.run(*trial.stage(stage)).succeeded(said)
    return re.findall(rf"{said}[^\r\n]*", done.output)[0][:60]


def _killed_at(trial: Trial, stage: str, share: float) -> None:
    channel = trial.temporary / "progress.json"
    channel.unlink(missing_ok=True)
    command = trial.start(*trial.stage(stage), **{_PROGRESS: str(channel)})
    home = _workplace(trial, stage)

    def reached() -> bool:
        return progress_of(channel) >= share and any(home.glob("*/checkpoints/0*/manifest.json"))

    expect(command.wait_for(reached), f"ended before {share:.0%} of it: {command.output()[-200:]}")
    command.kill()


def kill_before_recorded(trial: Trial, stage: str) -> str:
    """SIGKILL to everything between a stage's end and DVC's note of it: no work may be lost."""
    _forget(trial, stage)
    runner = trial.start(*RUNNER)
    output = trial.output_of(stage)
    expect(runner.wait_for(output.exists), "ended early")
    kill(trial.processes())
    runner.end()
    trial.make_study().succeeded("all done")
    log = (trial.paths.logs / f"{stage}.log").read_text()
    expect("an earlier run finished it" in log, f"{stage} did its work twice")
    return "what was finished was not done again"


def kill_run(trial: Trial, victim: str, stage: str, *, afresh: bool = False) -> str:
    """SIGKILL in a run of the study, at a random moment while a stage is at work."""
    trial.forget_results() if afresh else _forget(trial, stage)
    runner = trial.start(*RUNNER)
    channel = trial.paths.scratch / "progress" / f"{stage}.json"
    share = trial.random.uniform(0.0, 0.8)
    at_work = runner.wait_for(lambda: channel.exists() and progress_of(channel) >= share)
    expect(at_work, f"{stage} did not begin")
    if victim == "runner":
        runner.kill()
    else:
        words = {
            "worker": "induction.stages",
            "dvc": "repro",
            "supervisor": "induction.runner.supervisor",
        }
        mark = words.get(victim, "")
        hit = [one for one in trial.processes() if mark in " ".join(one.cmdline())]
        expect(hit, f"no {victim} there")
        kill(hit if victim == "everything" else [trial.random.choice(hit)])
    said = runner.end().output
    expect("Traceback" not in said, "the runner ended in a traceback")
    if victim not in ("runner", "everything"):
        expect("FAILED" in said, f"the runner did not tell that its {victim} was killed")
    trial.wait_until_all_is_quiet()
    trial.make_study().succeeded()
    return "nothing was left running; the next run ended well"


def _delete_output(trial: Trial, stage: str) -> None:
    if trial.output_of(stage) != trial.paths.results:
        _delete(trial.output_of(stage))


def _forget(trial: Trial, stage: str) -> None:
    """The output of a stage is gone, and DVC's cache cannot give it back."""
    _delete_output(trial, stage)
    _delete(trial.root / ".dvc" / "cache")
    _delete(trial.paths.scratch / "progress")
    if stage == "fetch":
        _delete(trial.paths.scratch / "wheels")


# Damage


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip_a_bit(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte ^ 1]))


def remove(path: Path) -> None:
    path.unlink()


def each(pattern: str, harm: Damage) -> Damage:
    """Harm to the first file below a folder that matches."""
    return lambda folder: harm(sorted(folder.glob(pattern))[0])


def damaged_input(
    trial: Trial, folder: str, pattern: str, harm: Damage, reader: str, said: str
) -> str:
    """A file below data/ is harmed: a stage that reads it refuses, and the way on is as it says."""
    each(pattern, harm)(trial.root / folder)
    trial.run(*trial.stage(reader)).refused(said)
    _delete(trial.root / folder)
    trial.make_study().succeeded("all done")
    return f"{reader} named it; deleted, made anew"


def damaged_and_made_again(trial: Trial, pattern: str, harm: Damage) -> str:
    """A file is harmed, and the study is run as if nothing had happened."""
    each(pattern, harm)(trial.root)
    trial.make_study().succeeded("all done")
    return "the next run made it anew"


def damaged_download(trial: Trial, harm: Damage) -> str:
    """A wheel that was kept from an earlier download is harmed before it is used again."""
    each(".scratch/wheels/*.whl", harm)(trial.root)
    trial.run(*trial.stage("fetch")).succeeded()
    return "fetched again"


def damaged_cache(trial: Trial, lost: str) -> str:
    """An object of DVC's cache is harmed, and the output that it stands for is gone."""
    victim = sorted((trial.root / lost).glob("*.*"))[-1]
    name = digest(victim, "md5")
    flip_a_bit(trial.root / ".dvc" / "cache" / "files" / "md5" / name[:2] / name[2:])
    _delete(trial.root / lost)
    trial.make_study().succeeded("deleted a damaged object")
    return "the object was dropped, its stage ran again"


def damaged_lock_file(trial: Trial) -> str:
    """dvc.lock is cut off; the way on is the one of git. Where what is left is a whole file by
    chance, of fewer stages, the others run again."""
    kept = (trial.root / "dvc.lock").read_bytes()
    truncate(trial.root / "dvc.lock")
    done = trial.make_study()
    if done.status == 0:
        done.succeeded("all done")
        return "what it no longer told of ran again"
    done.refused("dvc.lock")
    (trial.root / "dvc.lock").write_bytes(kept)
    return "told; restored"


# Disk, folders, clock


def fill_the_disk(trial: Trial, stage: str, spare: int) -> str:
    """The disk has `spare` bytes left for a stage; then it grows, and the same command runs."""
    _move_to_a_disk_of_its_own(trial)
    _delete_output(trial, stage)
    status = os.statvfs(trial.root)
    used = (status.f_blocks - status.f_bfree) * status.f_frsize
    _resize(trial, f"{(used + spare) // 1024}k")
    command = RUNNER if stage == "study" else trial.stage(stage)
    done = trial.run(*command)
    expect(done.status == 1, f"exit status {done.status} on a full disk")
    expect("Traceback" not in done.output, "traceback on a full disk")
    told = ("No space left", "make room", "disk is full")
    expect(
        any(words in done.output for words in told),
        f"does not say why: {done.output.strip()[-200:]}",
    )
    _resize(trial, _GROWN)
    trial.run(*command).succeeded()
    return "said so; with more room it ran to the end"


def _move_to_a_disk_of_its_own(trial: Trial) -> None:
    aside = trial.root.with_name(f"{trial.root.name}-aside")
    trial.root.rename(aside)
    trial.root.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={_GROWN}", "tmpfs", str(trial.root))
    subprocess.run(["cp", "-a", f"{aside}/.", trial.root], check=True)
    shutil.rmtree(aside)


def _resize(trial: Trial, size: str) -> None:
    _mount("-o", f"remount,size={size}", str(trial.root))


def read_only_folder(trial: Trial, stage: str) -> str:
    """The folder into which a stage publishes cannot be written to for a while."""
    with _read_only(trial.output_of(stage).parent):
        trial.run(*trial.stage(stage)).refused(stage)
    trial.run(*trial.stage(stage)).succeeded()
    return "said so; with the folder writable again it ran to the end"


@contextmanager
def _read_only(folder: Path) -> Iterator[None]:
    if os.geteuid():
        folder.chmod(0o555)
        yield
        folder.chmod(0o755)
        return
    _mount("--bind", str(folder), str(folder))  # root may write whatever the mode says
    try:
        _mount("-o", "remount,ro,bind", str(folder))
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def _mount(*arguments: str) -> None:
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        raise Skipped("no mount command here") from None
    if done.returncode:
        raise Skipped(f"mounting is refused: {done.stderr.strip()[:60]}")


def clock_was_ahead(trial: Trial, stage: str) -> str:
    """Half of the work was done with a clock that was years ahead."""
    _delete(trial.output_of(stage))
    _killed_at(trial, stage, 0.4)
    future = time.time() + _YEARS_AHEAD
    for path in trial.root.rglob("*"):
        if not path.is_relative_to(trial.root / ".git"):
            os.utime(path, (future, future), follow_symlinks=False)
    trial.run(*trial.stage(stage)).succeeded("going on after")
    return "went on"


def clock_goes_back(trial: Trial, stage: str) -> str:
    """Python's clock goes back a day while the study runs."""
    _forget(trial, stage)
    trial.run(*RUNNER, CHAOS_CLOCK_GOES_BACK="yes").succeeded("all done")
    return "ran to the end"


# Two at once


def two_runs(trial: Trial, stage: str) -> str:
    """A second `make study` in the middle of a first one."""
    _forget(trial, stage)
    first = _at_work(trial, stage)
    trial.make_study().refused("already runs here", str(first.pid))
    first.end().succeeded("all done")
    return "the second said so, the first ended well"


def two_runs_together(trial: Trial, stage: str) -> str:
    """Two `make study` at the same moment."""
    _forget(trial, stage)
    commands = [trial.start(*RUNNER) for _ in range(2)]
    statuses = sorted(command.end().status for command in commands)
    expect(statuses == [0, 1], f"exit statuses {statuses}, expected one success")
    return "one ran, the other said so"


def dvc_beside_run(trial: Trial, stage: str) -> str:
    """`dvc repro` in the middle of `make study`: DVC may be refused, the study may not suffer."""
    _forget(trial, stage)
    runner = _at_work(trial, stage)
    serial = trial.run("-m", "dvc", "repro")
    expect("Traceback" not in serial.output, "traceback of dvc")
    runner.end().succeeded("all done")
    return "dvc " + ("ran too" if serial.status == 0 else "was told that files are busy")


def run_beside_dvc(trial: Trial, stage: str) -> str:
    """`make study` in the middle of `dvc repro`."""
    _forget(trial, stage)
    serial = trial.start("-m", "dvc", "repro")
    expect(serial.wait_for(lambda: _stage_at_work(trial, stage)), "dvc ended early")
    trial.make_study().refused("is at work here")
    serial.end().succeeded()
    return "make study said so, dvc ended well"


def dvc_takes_a_stage(trial: Trial, first: str, second: str) -> str:
    """`dvc repro` takes a stage that the study was about to run: the study waits for it, or finds
    it done where dvc was faster."""
    for stage in (first, second):
        _forget(trial, stage)
    runner = trial.start(*RUNNER[:-1], "1")
    expect(runner.wait_for(lambda: _stage_at_work(trial, first)), f"{first} did not begin")
    serial = trial.start("-m", "dvc", "--wait-for-lock", "repro", "--single-item", second)
    waited = f"wait    {second}" in runner.end().succeeded("all done").output
    serial.end().succeeded()
    return f"the run {'waited for it' if waited else 'found it done'}, both ended well"


def two_of_a_stage(trial: Trial, stage: str) -> str:
    """Two commands for the same output."""
    _delete(trial.output_of(stage))
    first = trial.start(*trial.stage(stage))
    home = _workplace(trial, stage)
    expect(first.wait_for(lambda: any(home.glob("*"))), "ended early")
    os.killpg(first.pid, signal.SIGSTOP)  # or it could end before the second begins
    expect(first.running(), "ended early")
    trial.run(*trial.stage(stage)).refused("another process is making it")
    os.killpg(first.pid, signal.SIGCONT)
    first.end().succeeded()
    return "the second said so, the first ended well"


def _at_work(trial: Trial, stage: str) -> Command:
    runner = trial.start(*RUNNER)
    expect(runner.wait_for(lambda: _stage_at_work(trial, stage)), f"{stage} did not begin")
    return runner


def _stage_at_work(trial: Trial, stage: str) -> bool:
    return any(_workplace(trial, stage).glob("*"))


def _workplace(trial: Trial, stage: str) -> Path:
    output = trial.output_of(stage)
    return trial.paths.scratch / "unfinished" / f"{output.parent.name}-{output.name}"


def _delete(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
