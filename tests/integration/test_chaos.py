"""The short form of `make chaos`: a few telling trials, and whether the suite would see a fault."""

import hashlib
import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from chaos import harm
from chaos.checkout import RUNNER, Checkout, Fault, Skipped, clone_working_tree
from chaos.harm import Trial
from chaos.trials import MEASURE, SNAPSHOTS, TRAIN

from induction.errors import StudyError
from induction.files import delete_unfinished, published_folder, workplace, write_text
from induction.runner import cache
from induction.runner.cache import delete_damaged

BY_HAND = ("fetch", "prepare", TRAIN, MEASURE)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Checkout:
    """A clone in which the first stages have run by hand."""
    folder = tmp_path_factory.mktemp("chaos")
    checkout = Checkout(folder / "made", folder / "index")
    clone_working_tree(checkout.root)
    for stage in BY_HAND:
        checkout.run(*checkout.stage(stage)).succeeded()
    return checkout


@pytest.fixture
def trial(made, tmp_path) -> Trial:
    shutil.copytree(made.root, tmp_path / "trial", symlinks=True)
    copy = Trial(tmp_path / "trial", made.root.with_name("index"))
    copy.random = random.Random(0)
    return copy


def assert_as_before(trial: Trial, made: Checkout) -> None:
    trial.wait_until_all_is_quiet()
    assert trial.hashes() == made.hashes()
    assert trial.files() == made.files()


@pytest.mark.parametrize(("stage", "share"), [(TRAIN, 0.5), (MEASURE, 0.5)])
def test_killed_work_goes_on_to_the_same_bits(trial, made, stage, share):
    assert "going on after" in harm.kill_and_resume(trial, stage, share)
    assert_as_before(trial, made)


def test_a_damaged_snapshot_is_named(trial):
    harm.each("step-*", harm.flip_a_bit)(trial.root / SNAPSHOTS)
    trial.run(*trial.stage(MEASURE)).refused("step-000000.safetensors", "differs")


def test_a_full_disk_is_told_and_nothing_is_lost(trial, made):
    try:
        harm.fill_the_disk(trial, "prepare", spare=30_000)
        assert_as_before(trial, made)
    except Skipped as reason:
        pytest.skip(str(reason))
    finally:
        if trial.root.is_mount():
            subprocess.run(["umount", trial.root], check=True)


def test_two_commands_for_one_output(trial, made):
    harm.two_of_a_stage(trial, "prepare")
    assert_as_before(trial, made)


def test_a_killed_run_leaves_nothing_at_work(trial):
    trial.forget_results()
    runner = trial.start(*RUNNER)
    wanted = {"induction.runner.supervisor", "induction.stages.fetch"}
    assert runner.wait_for(
        lambda: wanted <= {word for p in trial.processes() for word in p.cmdline()}
    )
    runner.kill()
    trial.wait_until_all_is_quiet()


def test_the_suite_sees_a_process_that_is_left(trial):
    sleeper = trial.start("-c", "import time; time.sleep(60)")
    with pytest.raises(Fault, match=r"still at work: .*time\.sleep"):
        trial.wait_until_all_is_quiet(seconds=0.5)
    assert sleeper.end().status == -signal.SIGKILL


def test_the_suite_sees_changed_outputs_and_stray_files(trial, made):
    harm.each("step-*", harm.flip_a_bit)(trial.root / SNAPSHOTS)
    assert trial.hashes() != made.hashes()
    (trial.root / "data" / "tokens" / ".meta.json.123").touch()
    assert trial.files() - made.files() == {"data/tokens/.meta.json.123"}


def test_the_suite_sees_a_refusal_that_is_none(trial):
    with pytest.raises(Fault, match="succeeded"):
        trial.run("-c", "pass").refused()
    with pytest.raises(Fault, match="traceback"):
        trial.run("-c", "1 / 0").refused()


def dead_pid() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_what_killed_writers_left_is_cleared_away(tmp_path):
    left, alive = tmp_path / f".a.json.{dead_pid()}", tmp_path / f".a.json.{os.getppid()}"
    left.touch()
    alive.touch()
    write_text(tmp_path / "a.json", "{}")
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", alive.name}


def test_a_workplace_is_emptied_only_when_nobody_works_there(tmp_path):
    with published_folder(tmp_path / "data" / "out", tmp_path) as folder:
        (folder / "a").touch()
        delete_unfinished(tmp_path)
        assert (folder / "a").exists()
        with (
            pytest.raises(StudyError, match="another process"),
            workplace(tmp_path / "data" / "out", tmp_path),
        ):
            pass
    home = tmp_path / "unfinished" / "data-out"
    (home / "left").mkdir()
    delete_unfinished(tmp_path)
    assert not list(home.iterdir())


def test_damaged_objects_of_the_cache_are_deleted(tmp_path):
    def store(content: bytes, suffix: str = "") -> Path:
        name = hashlib.md5(content).hexdigest()
        path = tmp_path / name[:2] / (name[2:] + suffix)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    whole, folder, damaged = store(b"whole"), store(b"[]", ".dir"), store(b"damaged")
    harm.flip_a_bit(damaged)
    note = tmp_path / "verified.json"
    assert delete_damaged(tmp_path, note) == [damaged.parent.name + damaged.name]
    assert whole.exists()
    assert folder.exists()
    assert not damaged.exists()


def test_objects_that_were_found_whole_are_read_again_when_they_change(tmp_path, monkeypatch):
    read: list[str] = []
    md5 = cache.md5
    monkeypatch.setattr(cache, "md5", lambda path: read.append(path.name) or md5(path))
    note = tmp_path / "scratch" / "verified.json"
    paths = []
    for content in (b"one", b"two"):
        name = hashlib.md5(content).hexdigest()
        paths.append(tmp_path / name[:2] / name[2:])
        write_text(paths[-1], content.decode())
        os.utime(paths[-1], (0, 0))
    one, two = (path.name for path in paths)
    assert delete_damaged(tmp_path, note) == []
    assert sorted(read) == sorted([one, two])
    read.clear()
    assert delete_damaged(tmp_path, note) == []
    assert read == []
    for forget in (note.unlink, lambda: note.write_text("[1")):
        forget()
        assert delete_damaged(tmp_path, note) == []
        assert sorted(read) == sorted([one, two])
        read.clear()
    harm.flip_a_bit(paths[1])
    assert delete_damaged(tmp_path, note) == [paths[1].parent.name + two]
    assert read == [two]
    assert not paths[1].exists()
