"""Interrupted work goes on to the same bits, and what is damaged or outdated is not trusted."""

import json
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from tiny_training import SPEC, TOKENS, WINDOWS

from induction import resume
from induction.config import load_config
from induction.errors import StudyError
from induction.files import PATIENCE_VARIABLE, verify_folder, write_json
from induction.fingerprint import fingerprint
from induction.model.transformer import Transformer, initialise
from induction.paths import StudyPaths, find_study
from induction.resume import SECONDS_VARIABLE, ResumableFolder, resumable_folder
from induction.stages.over_snapshots import Rows
from induction.train.checkpoint import load_checkpoint, save_checkpoint
from induction.train.loop import Step, batches, train
from induction.train.optimizer import make_optimizers

SETTINGS = load_config(find_study().params).train.model_copy(update={"warmup_steps": 5})


def trained(choice: str, stops: list[int], folder: Path) -> tuple[Transformer, list[Step]]:
    """Train up to each stop in turn; at each, everything but the saved state is forgotten."""
    model, curve = Transformer(SPEC), []
    initialise(model, 0, SETTINGS.embedding_std)
    optimizers = make_optimizers(model, choice, SETTINGS)
    for number, stop in enumerate(stops):
        data = batches(TOKENS, WINDOWS, 32, 4, first=len(curve))
        train(model, optimizers, data, range(len(curve), stop), SETTINGS, curve.extend)
        state = folder / str(number)
        state.mkdir(parents=True)
        save_checkpoint(state, model, optimizers, curve)
        model = Transformer(SPEC)
        optimizers = make_optimizers(model, choice, SETTINGS)
        curve = load_checkpoint(state, model, optimizers)
    return model, curve


@pytest.mark.parametrize("choice", ["muon", "adamw"])
def test_interrupted_training_gives_the_same_bits(choice, tmp_path):
    straight, curve = trained(choice, [30], tmp_path / "straight")
    broken, pieces = trained(choice, [1, 3, 17, 30], tmp_path / "broken")
    assert pieces == curve
    for a, b in zip(straight.parameters(), broken.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_forgotten_optimizer_state_would_be_noticed(tmp_path):
    straight, _ = trained("muon", [30], tmp_path / "straight")
    model, curve = trained("muon", [17], tmp_path / "broken")
    fresh = make_optimizers(model, "muon", SETTINGS)
    train(model, fresh, batches(TOKENS, WINDOWS, 32, 4, first=17), range(17, 30), SETTINGS, print)
    assert not torch.equal(model.W_E, straight.W_E)
    assert len(curve) == 17


def fill(work: ResumableFolder, until: int, *, save_at: int = 0) -> None:
    """Write numbered files; the state is how many there are."""
    done: list[int] = []
    work.restore(lambda state: done.extend(json.loads((state / "done.json").read_text())))
    for number in range(len(done), until):
        (work.output / f"{number}.txt").write_text(f"{number}")
        done.append(number)
        if len(done) == save_at:
            work.save(lambda state: write_json(state / "done.json", done))


def interrupted(target: Path, scratch: Path, key: str = "a") -> Path:
    """A run that saves after two files and is stopped after three; returns its folder."""
    with suppress(KeyboardInterrupt), resumable_folder(target, scratch, key, {}) as work:
        fill(work, 3, save_at=2)
        raise KeyboardInterrupt
    return scratch / "unfinished" / f"{target.parent.name}-{target.name}" / key


def finished(target: Path, scratch: Path, key: str = "a") -> set[str]:
    """Finish the work; returns the files that were there before its first own write."""
    with resumable_folder(target, scratch, key, {"about": 1}) as work:
        found = work.restore(lambda state: None)
        before = {path.name for path in work.output.iterdir()} if found else set()
        fill(work, 4)
    return before


def test_a_run_goes_on_and_publishes_the_whole(tmp_path):
    target, scratch = tmp_path / "data" / "out", tmp_path / "scratch"
    folder = interrupted(target, scratch)
    assert not target.exists()
    assert finished(target, scratch) == {"0.txt", "1.txt"}  # what is younger than the state goes
    verify_folder(target)
    assert sorted(path.name for path in target.glob("*.txt")) == [f"{n}.txt" for n in range(4)]
    assert not folder.exists()


def test_other_inputs_begin_anew_and_clear_the_old_run(tmp_path):
    target, scratch = tmp_path / "data" / "out", tmp_path / "scratch"
    folder = interrupted(target, scratch, "a")
    assert finished(target, scratch, "b") == set()
    assert not folder.exists()


@pytest.mark.parametrize("victim", ["checkpoints/000001/done.json", "output/1.txt"])
@pytest.mark.parametrize("harm", ["truncate", "flip", "remove"])
def test_damage_is_told_and_the_work_begins_anew(victim, harm, tmp_path, capsys):
    target, scratch = tmp_path / "data" / "out", tmp_path / "scratch"
    file = interrupted(target, scratch) / victim
    content = file.read_bytes()
    if harm == "remove":
        file.unlink()
    else:
        file.write_bytes(content[:-1] if harm == "truncate" else content[:-1] + b"\xff")
    assert finished(target, scratch) == set()
    assert "cannot go on" in capsys.readouterr().out
    verify_folder(target)


def test_two_at_once_are_told_apart(tmp_path):
    target, scratch = tmp_path / "data" / "out", tmp_path / "scratch"
    with (
        resumable_folder(target, scratch, "a", {}),
        pytest.raises(StudyError, match="another process is making it"),
        resumable_folder(target, scratch, "a", {}),
    ):
        pass


@pytest.mark.parametrize("variable", [PATIENCE_VARIABLE, SECONDS_VARIABLE])
def test_seconds_that_are_no_number_are_refused_in_a_line(tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, "3m")
    with (
        pytest.raises(StudyError, match=rf"^{variable}: '3m': expected a number of seconds$"),
        resumable_folder(tmp_path / "data" / "out", tmp_path / "scratch", "a", {}),
    ):
        pass


def test_rows_of_two_runs_are_those_of_one(tmp_path):
    def row(step: int) -> tuple[dict, dict]:
        arrays = {"step": np.array(step), "loss": np.random.default_rng(step).random(5)}
        heads = pl.DataFrame({"step": [step] * 3, "score": arrays["loss"][:3]})
        return arrays, {"heads": heads, "none": heads.clear()}

    straight, first, second = Rows(), Rows(), Rows()
    for step in range(6):
        straight.append(*row(step))
    for step in range(4):
        first.append(*row(step))
    for name in ("straight", "first", "second"):
        (tmp_path / name).mkdir()
    first.save(tmp_path / "first")
    second.read(tmp_path / "first")
    assert second.count == 4
    for step in range(4, 6):
        second.append(*row(step))
    straight.write(tmp_path / "straight")
    second.write(tmp_path / "second")
    for name in ("losses.npz", "heads.parquet"):
        whole = (tmp_path / "straight" / name).read_bytes()
        assert (tmp_path / "second" / name).read_bytes() == whole


@pytest.fixture
def checkout(tmp_path) -> StudyPaths:
    (tmp_path / "src" / "code").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "src" / "code" / "a.py").write_text("A = 1\n")
    (tmp_path / "data" / "manifest.json").write_text("{}")
    (tmp_path / "requirements.lock").write_text("numpy==2\n")
    (tmp_path / "params.yaml").write_text("models: {one: {seed: 0}, two: {seed: 0}}\nother: 1\n")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  train:\n    foreach: ${models}\n    do:\n      cmd: x ${key}\n"
        "      deps: [data, src/code]\n      params: ['models.${key}']\n"
    )
    return StudyPaths(tmp_path)


def test_stages_of_a_list_of_models_have_a_fingerprint_as_those_of_a_table_do(checkout):
    table = fingerprint(checkout, "train", "one")
    text = checkout.pipeline.read_text()
    checkout.pipeline.write_text(
        text.replace("${models}", "${llc.models}").replace("${key}", "${item}")
    )
    assert fingerprint(checkout, "train", "one") == table


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("src/code/a.py", "A = 2\n"),
        ("src/code/b.py", "\n"),
        ("data/manifest.json", "{ }"),
        ("params.yaml", "models: {one: {seed: 1}, two: {seed: 0}}\nother: 1\n"),
        ("requirements.lock", "numpy==3\n"),
    ],
)
def test_the_fingerprint_tells_changed_code_data_parameters_and_environment(checkout, file, text):
    before = fingerprint(checkout, "train", "one")
    (checkout.root / file).write_text(text)
    assert fingerprint(checkout, "train", "one") != before


def test_the_fingerprint_leaves_out_what_does_not_matter(checkout):
    before = fingerprint(checkout, "train", "one")
    checkout.params.write_text("models: {one: {seed: 0}, two: {seed: 5}}\nother: 2\n")
    assert fingerprint(checkout, "train", "one") == before
    assert fingerprint(checkout, "train", "two") != before


def test_the_fingerprint_leaves_out_what_was_compiled(checkout):
    before = fingerprint(checkout, "train", "one")
    for name in ("a.cpython-311.pyc", "a.forward-1.py311.nbi"):
        compiled = checkout.root / "src" / "code" / "__pycache__" / name
        compiled.parent.mkdir(exist_ok=True)
        compiled.touch()
    assert fingerprint(checkout, "train", "one") == before


def test_an_unknown_stage_is_named(checkout):
    with pytest.raises(StudyError, match="no stage cook"):
        fingerprint(checkout, "cook", "one")


def test_states_that_take_long_to_save_are_saved_less_often(tmp_path, monkeypatch):
    monkeypatch.delenv(resume.SECONDS_VARIABLE, raising=False)
    now, saves = [0.0], []
    monkeypatch.setattr(resume, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def saved_at(moment: float, seconds: float) -> bool:
        """Whether a state is saved at that moment, which takes so many seconds."""
        before, now[0] = len(saves), moment

        def write(folder: Path) -> None:
            saves.append(folder)
            now[0] += seconds

        work.save_now_and_then(write)
        return len(saves) > before

    with resumable_folder(tmp_path / "data" / "out", tmp_path / "scratch", "a", {}) as work:
        assert not saved_at(19.0, 0.1)
        assert saved_at(20.0, 0.1)
        assert saved_at(41.0, 3.0)
        assert not saved_at(103.0, 0.1)
        assert saved_at(104.0, 0.1)
        assert not saved_at(124.0, 0.1)
        assert saved_at(124.2, 0.1)
