"""The fetch stage, with wheels built here and pip pointed at their folder: no network."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import induction.data.fetch as fetching
from induction.data.fetch import copy_own_files, fetch_wheels, read_requirements
from induction.errors import StudyError
from induction.files import sha256, verify_folder
from induction.paths import find_study
from induction.progress import ENVIRONMENT_VARIABLE

ROOT = Path(__file__).parents[2]


def build_wheel(folder: Path, name: str, tag: str = "py3-none-any") -> Path:
    """A minimal valid wheel of version 1.0 with one module."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-1.0-{tag}.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", f"NAME = {name!r}\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


def line(wheel: Path, digest: str | None = None) -> str:
    return f"{wheel.name.split('-')[0]}==1.0 --hash=sha256:{digest or sha256(wheel)}\n"


@pytest.fixture
def index(tmp_path, monkeypatch) -> Path:
    """A folder that is the only place where pip looks."""
    for variable in [name for name in os.environ if name.upper().startswith("PIP_")]:
        monkeypatch.delenv(variable)
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def study(tmp_path) -> Path:
    root = tmp_path / "study"
    (root / "data").mkdir(parents=True)
    (root / "dvc.yaml").touch()
    write_params(root, wheels=True, files=[])
    return root


def write_params(root: Path, **corpus) -> None:
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(ROOT / "params.yaml")
    values["corpus"] |= corpus
    yaml.dump(values, root / "params.yaml")


def run_fetch(root: Path) -> subprocess.CompletedProcess[str]:
    """The stage as a command; its progress goes to a file, as under the runner."""
    return subprocess.run(
        [sys.executable, "-m", "induction.stages.fetch"],
        cwd=root,
        env=os.environ | {ENVIRONMENT_VARIABLE: str(root / "progress.json")},
        capture_output=True,
        text=True,
    )


def only_line(run: subprocess.CompletedProcess[str]) -> str:
    """The one message of a failed stage."""
    assert run.returncode == 1
    (message,) = run.stderr.splitlines()
    return message


def requirements(tmp_path: Path, *lines: str):
    path = tmp_path / "sources.txt"
    path.write_text("".join(lines))
    return read_requirements(path)


def test_wheels_and_own_files_become_data_raw(index, study):
    wheels = [build_wheel(index, name) for name in ("spam", "eggs")]
    (study / "data" / "sources.txt").write_text("# MIT\n\n" + "".join(map(line, wheels)))
    (study / "notes.txt").write_bytes(b"\xef\xbb\xbfna\xc3\xafve\r\n")
    write_params(study, wheels=True, files=["*.txt"])

    run = run_fetch(study)

    assert run.returncode == 0, run.stderr
    raw = study / "data" / "raw"
    verify_folder(raw)
    for wheel in wheels:
        assert (raw / "wheels" / wheel.name).read_bytes() == wheel.read_bytes()
    assert (raw / "files" / "000000-notes.txt").read_bytes() == b"na\xc3\xafve\r\n"
    left = [path for path in (study / ".scratch").rglob("*") if path.is_file()]
    assert {path.parent.name for path in left} == {"wheels"}

    for wheel in wheels:
        wheel.unlink()
    assert run_fetch(study).returncode == 0  # from the cache: the index is empty now


def test_changed_hash_is_one_line_and_keeps_the_rest(index, study):
    good, bad = build_wheel(index, "good"), build_wheel(index, "bad")
    (study / "data" / "sources.txt").write_text(line(good) + line(bad, "0" * 64))

    message = only_line(run_fetch(study))

    assert "data/sources.txt:2: bad==1.0: refused" in message
    assert sha256(bad) in message
    assert not (study / "data" / "raw").exists()
    kept = list((study / ".scratch" / "wheels").iterdir())
    assert [path.name for path in kept] == [good.name]

    good.unlink()
    (study / "data" / "sources.txt").write_text(line(kept[0]) + line(bad))
    assert run_fetch(study).returncode == 0


def test_missing_network_is_one_line(index, study, monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    listed = [f"{name}==1.0 --hash=sha256:{'0' * 64}\n" for name in ("spam", "eggs")]
    (study / "data" / "sources.txt").write_text("".join(listed))
    message = only_line(run_fetch(study))
    assert "spam==1.0: pip cannot use the package index (NewConnectionError)" in message
    assert "check the network" in message


def test_damaged_file_in_the_cache_is_fetched_again(index, tmp_path):
    wheel = build_wheel(index, "spam")
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / wheel.name).write_bytes(b"half a download")
    (fetched,) = fetch_wheels(requirements(tmp_path, line(wheel)), cache)
    assert fetched.read_bytes() == wheel.read_bytes()


def test_later_calls_failing_keep_earlier_ones(index, tmp_path, monkeypatch):
    monkeypatch.setattr(fetching, "_WHEELS_PER_CALL", 1)
    first, second = build_wheel(index, "first"), build_wheel(index, "second")
    listed = requirements(tmp_path, line(first), line(second))
    second.unlink()
    with pytest.raises(StudyError, match=r"second==1\.0: the index has no pure-Python wheel"):
        fetch_wheels(listed, tmp_path / "cache")
    assert sha256(tmp_path / "cache" / first.name) == sha256(first)


@pytest.mark.parametrize("tag", ["cp311-abi3-any", "py3-none-linux_x86_64"])
def test_platform_wheel_is_not_taken(index, tmp_path, tag):
    wheel = build_wheel(index, "fast", tag)
    with pytest.raises(StudyError, match="no pure-Python wheel"):
        fetch_wheels(requirements(tmp_path, line(wheel)), tmp_path / "cache")


def test_wheel_that_is_no_zip_is_refused(index, tmp_path):
    wheel = index / "spam-1.0-py3-none-any.whl"
    wheel.write_text("a page that says no")
    with pytest.raises(StudyError, match=r"sources\.txt:1: spam==1\.0: pip: .*invalid") as caught:
        fetch_wheels(requirements(tmp_path, line(wheel)), tmp_path / "cache")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "bad",
    [
        "flask\n",
        "flask==3.1.3\n",
        f"flask --hash=sha256:{'0' * 64}\n",
        f"flask>=3 --hash=sha256:{'0' * 64}\n",
        "flask==3.1.3 --hash=sha256:123\n",
        "--index-url http://127.0.0.1\n",
        "-r others.txt\n",
    ],
)
def test_requirement_without_version_or_hash_is_refused(tmp_path, bad):
    with pytest.raises(StudyError, match=r"sources\.txt:2: .*expected NAME==VERSION --hash"):
        requirements(tmp_path, "# MIT\n", bad)


def test_same_package_twice_and_empty_list_are_refused(tmp_path):
    twice = [f"{name}==1.0 --hash=sha256:{'0' * 64}\n" for name in ("a-b", "A_b")]
    with pytest.raises(StudyError, match=r"sources\.txt:2: A_b already stands at .*:1"):
        requirements(tmp_path, *twice)
    with pytest.raises(StudyError, match="lists no wheel"):
        requirements(tmp_path, "# nothing\n")


def test_the_committed_list_is_valid():
    listed = read_requirements(ROOT / "data" / "sources.txt")
    assert 40 <= len(listed) <= 80
    assert read_requirements(*find_study(ROOT).wheel_lists(prose=False)) == listed
    assert len(read_requirements(*find_study(ROOT).wheel_lists(prose=True))) > len(listed)


def test_empty_glob_is_one_line(study):
    write_params(study, wheels=False, files=["own/**/*.txt"])
    message = only_line(run_fetch(study))
    assert "corpus.files: 'own/**/*.txt' matches no file" in message
    assert not (study / "data" / "raw").exists()


def test_file_that_is_not_utf8_is_left_out_and_named_with_its_byte(study):
    (study / "good.txt").write_text("good")
    (study / "latin.txt").write_bytes(b"abc\xe9")
    write_params(study, wheels=False, files=["*.txt"])
    done = run_fetch(study)
    assert done.returncode == 0, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if "latin" in line]
    assert line == (
        f"left out: {study / 'latin.txt'}: not UTF-8 at byte 3: convert it, for example by "
        "`iconv -f WINDOWS-1252 -t UTF-8`"
    )
    (kept,) = (study / "data" / "raw" / "files").iterdir()
    assert kept.read_text() == "good"


def test_own_files_are_taken_once_in_the_order_of_their_paths(tmp_path):
    for name in ("b/same.txt", "a/same.txt", "c.txt"):
        (tmp_path / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "own" / name).write_text(name)
    patterns = ("own/b/*", str(tmp_path / "own" / "**" / "*.txt"), "./own/c.txt")
    copy_own_files(patterns, tmp_path, tmp_path / "files")
    assert {path.name: path.read_text() for path in (tmp_path / "files").iterdir()} == {
        "000000-a_same.txt": "a/same.txt",
        "000001-b_same.txt": "b/same.txt",
        "000002-c.txt": "c.txt",
    }
