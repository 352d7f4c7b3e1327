"""A throw-away clone with a small study: run commands in it, look at what is left."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from ruamel.yaml import YAML

from induction.paths import StudyPaths
from induction.resume import SECONDS_VARIABLE

ROOT = Path(__file__).parents[2]
RUNNER = ("-m", "induction.runner", "--jobs", "2")
MODEL = "attn-2l"

# Two of the preset's models, one for each optimiser, trained long enough to be hit.
_MODELS = {
    "attn-2l": {"optimizer": "muon", "tokens": 150_000},
    "smear-1l": {"optimizer": "adamw", "tokens": 100_000},
}
_HOOKS = Path(__file__).parent / "hooks"
_MARK = "CHAOS_CHECKOUT"  # in the environment of every process that works in a checkout
_SECONDS_TO_DIE = 10.0
_LIMIT_SECONDS = 600.0
# What differs from run to run or is DVC's and git's own.
_NOT_LISTED = (".git", ".dvc", ".scratch/logs")


class Fault(Exception):
    """What a trial found wrong, in one line."""


class Skipped(Exception):
    """Why a trial cannot be made on this machine."""


def expect(holds: object, otherwise: str) -> None:
    if not holds:
        raise Fault(otherwise)


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    output: str

    def succeeded(self, said: str = "") -> "Done":
        expect(self.status == 0, f"exit status {self.status}: {self._last()}")
        expect(said in self.output, f"did not say {said!r}: {self._last()}")
        return self

    def refused(self, *said: str) -> "Done":
        """It failed with one clear line that holds the words given."""
        expect(self.status not in (0, None), "succeeded, though it should have refused")
        expect("Traceback" not in self.output, f"traceback: {self._last()}")
        line = self._last()
        for word in said:
            expect(word in line, f"the error does not say {word!r}: {line}")
        return self

    def _last(self) -> str:
        lines = self.output.strip().splitlines()
        return lines[-1] if lines else "(no output)"


class Checkout:
    """A clone of the working tree with its own git and DVC repositories."""

    def __init__(self, root: Path, index: Path) -> None:
        self.root = root
        self.paths = StudyPaths(root)
        self.temporary = root.with_name(f"{root.name}-tmp")
        self.temporary.mkdir(exist_ok=True)
        kept = {k: v for k, v in os.environ.items() if not k.upper().startswith(("PIP_", "DVC_"))}
        self.environment = kept | {
            _MARK: str(root),
            "PYTHONPATH": os.pathsep.join([str(_HOOKS), str(root / "src")]),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "OMP_NUM_THREADS": "1",
            "TMPDIR": str(self.temporary),
            "QUARTO": "",  # the renderer that every machine has
            "PYTHONDONTWRITEBYTECODE": "",  # it compiles as on a reader's machine
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "tmp" / "site"),
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(index),
            "PIP_NO_CACHE_DIR": "1",
            SECONDS_VARIABLE: "0.05",
        }

    # Commands

    def start(self, *arguments: str, **variables: str) -> "Command":
        return Command(self, arguments, variables)

    def run(self, *arguments: str, **variables: str) -> Done:
        return self.start(*arguments, **variables).end()

    def stage(self, name: str) -> tuple[str, ...]:
        """The command of a stage, as a person would type it: train@attn-2l, pca."""
        stage, _, model = name.partition("@")
        return ("-m", f"induction.stages.{stage}", *filter(None, [model]))

    def make_study(self) -> Done:
        return self.run(*RUNNER)

    # State

    def output_of(self, stage: str) -> Path:
        """The folder that a stage fills, or the files of which it writes some."""
        name, _, model = stage.partition("@")
        return {
            "fetch": self.paths.raw,
            "prepare": self.paths.tokens,
            "train": self.paths.snapshots(model),
            "measure": self.paths.measurements(model),
            "ablate": self.paths.ablations(model),
            "behave": self.paths.behaviours(model),
            "ngrams": self.paths.ngrams(model),
            "llc": self.paths.llc(model),
            "steer": self.paths.steering(model),
        }.get(name, self.paths.results)

    def forget_results(self) -> None:
        """As if the study had never run here: no outputs, no cache, no record of it."""
        shutil.rmtree(self.paths.scratch, ignore_errors=True)
        shutil.rmtree(self.root / ".dvc" / "cache", ignore_errors=True)
        lists = {path.name for path in self.paths.wheel_lists(prose=True)}
        given = lists | {"own", "published"}
        made = (path for path in (self.root / "data").iterdir() if path.name not in given)
        for path in (*made, *self.paths.report_output.glob("*")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.root / "dvc.lock").unlink(missing_ok=True)

    def hashes(self) -> dict[str, str]:
        """SHA-256 of every output of the study."""
        folders = [self.root / "data", self.paths.report_output, self.paths.picture.parent]
        files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
        return {path.relative_to(self.root).as_posix(): digest(path, "sha256") for path in files}

    def files(self) -> set[str]:
        """Every file that is not DVC's, git's, or a log."""
        found = (path for path in self.root.rglob("*") if path.is_file() or path.is_symlink())
        names = {path.relative_to(self.root).as_posix() for path in found}
        return {
            name for name in names if not name.startswith(_NOT_LISTED) and "__pycache__" not in name
        }

    def git_status(self) -> set[str]:
        text = subprocess.run(
            ["git", "status", "--porcelain"], cwd=self.root, capture_output=True, text=True
        ).stdout
        return {line[3:] for line in text.splitlines()}

    def damaged_cache(self) -> list[str]:
        """Objects of DVC's cache that are not what their name says."""
        cache = self.root / ".dvc" / "cache" / "files" / "md5"
        return [
            path.name
            for path in cache.glob("??/*")
            if path.parent.name + path.name.removesuffix(".dir") != digest(path, "md5")
        ]

    def processes(self) -> list[psutil.Process]:
        """Every process at work here, whoever started it."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(_MARK) == str(self.root):
                    found.append(process)
            except psutil.Error:  # it has just ended, or is somebody else's
                continue
        return found

    def wait_until_all_is_quiet(self, seconds: float = _SECONDS_TO_DIE) -> None:
        """Give what is dying time to do so; Fault naming what does not. Then nothing is left."""
        end = time.monotonic() + seconds
        while left := self.processes():
            if time.monotonic() > end:
                names = ", ".join(" ".join(p.cmdline()[-3:]) for p in left)
                kill(left)
                raise Fault(f"still at work: {names}")
            time.sleep(0.1)


class Command:
    """A running `python ARGUMENTS` in a checkout, leader of a process group of its own."""

    def __init__(
        self, checkout: Checkout, arguments: tuple[str, ...], variables: dict[str, str]
    ) -> None:
        self.checkout = checkout
        descriptor, self._log = tempfile.mkstemp(".log", "said-", dir=checkout.temporary)
        with os.fdopen(descriptor, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                cwd=checkout.root,
                env=checkout.environment | variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def output(self) -> str:
        """What it has said so far."""
        return Path(self._log).read_text(errors="replace")

    def wait_for(self, moment: Callable[[], object]) -> bool:
        """Wait for a moment; False when the command ends before it."""
        end = time.monotonic() + _LIMIT_SECONDS
        while self.running():
            if moment():
                return True
            expect(time.monotonic() < end, "waited in vain")
            time.sleep(0.01)
        return False

    def kill(self) -> None:
        """SIGKILL to its process group."""
        os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()

    def end(self) -> Done:
        try:
            status = self._process.wait(timeout=_LIMIT_SECONDS)
        except subprocess.TimeoutExpired:
            kill(self.checkout.processes())
            raise Fault("did not end") from None
        return Done(status, self.output())


def kill(processes: list[psutil.Process]) -> None:
    """SIGKILL to all of them, as if the power failed."""
    for process in processes:
        try:
            process.kill()
        except psutil.Error:
            continue


def copy_working_tree(root: Path) -> None:
    """Copy what git knows or would add into a folder."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, root / name)


def clone_working_tree(root: Path) -> None:
    """A copy that is a commit of its own, with the small study in it."""
    copy_working_tree(root)
    _make_small(root)
    index = root.with_name("index")
    (root / "data" / "sources.txt").write_text(_build_index(index, root))
    for command in (
        ["init", "--quiet"],
        ["add", "--all"],
        ["-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "--quiet", "-m", "T"],
    ):
        subprocess.run(["git", *command], cwd=root, check=True)


def _make_small(root: Path) -> None:
    """The smoke preset with fewer models that take longer, and with wheels beside own text."""
    yaml = YAML(typ="safe", pure=True)
    values = yaml.load(root / "params" / "smoke.yaml")
    values["corpus"]["wheels"] = True
    values["train"]["repeat_data"] = True
    values["snapshots"]["count"] = 16
    values["evaluation"]["examples"] = 512
    values["ablation"] |= {"snapshots": 8, "examples": 32}
    values["models"] = {name: values["models"][name] | own for name, own in _MODELS.items()}
    values["llc"]["models"] = ["attn-2l"]
    yaml.dump(values, root / "params.yaml")


def _build_index(folder: Path, root: Path) -> str:
    """A folder of wheels for pip, and the list of them with their digests."""
    folder.mkdir()
    lines = []
    for name in ("model", "study", "measure"):
        wheel = folder / f"{name}-1.0-py3-none-any.whl"
        info = f"{name}-1.0.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            for path in sorted((root / "src" / "induction" / name).glob("*.py")):
                archive.writestr(f"{name}/{path.name}", "# as a wheel\n" + path.read_text())
            about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
            archive.writestr(f"{info}/METADATA", about)
            tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            archive.writestr(f"{info}/WHEEL", tags)
            archive.writestr(f"{info}/RECORD", "")
        lines.append(f"{name}==1.0 --hash=sha256:{digest(wheel, 'sha256')}\n")
    return "".join(lines)


def progress_of(path: Path) -> float:
    """How far a stage says it is, from 0 to 1."""
    try:
        message = json.loads(path.read_text())
    except (OSError, ValueError):
        return 0.0
    return message["done"] / message["total"]


def digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
