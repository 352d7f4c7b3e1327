"""Nothing that comes from outside is run: no code of packages, no name, no pickle, no markup."""

import ast
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import test_bad_corpus as corpus
import test_bad_parameters as parameters
from refusals import ROOT, watched
from ruamel.yaml import YAML
from test_fetch import build_wheel, index, line, requirements  # noqa: F401  (index is a fixture)

import induction.data.fetch as fetching
from induction.config import load_config
from induction.errors import StudyError
from induction.paths import StudyPaths
from induction.stages import model_argument, prepare

MODULES = sorted((ROOT / "src").rglob("*.py"))
FORBIDDEN = {
    *("eval", "exec", "compile", "__import__", "torch.load", "torch.save", "os.system", "os.popen"),
    *("pickle.load", "pickle.loads", "joblib.load", "marshal.loads", "shelve.open", "runpy"),
    *("yaml.load", "yaml.unsafe_load", "shutil.unpack_archive", "tarfile.open", "numpy.loads"),
}
FORBIDDEN_MODULES = {
    "pickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "yaml",
    "runpy",
}
FORBIDDEN_METHODS = {"extract", "extractall"}


def dangers(tree: ast.AST) -> list[str]:
    """Calls and imports by which data could become code, with their lines."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        else:
            names = []
        found += [f"{node.lineno}: import {n}" for n in names if n in FORBIDDEN_MODULES]  # pyright: ignore[reportAttributeAccessIssue]
        if not isinstance(node, ast.Call):
            continue
        name = ast.unparse(node.func)
        options = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if name == "torch.load" and options.get("weights_only") == "True":
            continue  # builds tensors and plain containers, and refuses all else
        if (
            name in FORBIDDEN
            or name.rsplit(".", 1)[-1] in FORBIDDEN_METHODS
            or options.get("shell", "False") != "False"
            or options.get("allow_pickle", "False") != "False"
            or (name == "YAML" and options.get("typ") != "'safe'")
        ):
            found.append(f"{node.lineno}: {name}")
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_no_module_turns_data_into_code(path):
    assert dangers(ast.parse(path.read_text())) == []


@pytest.mark.parametrize(
    "code",
    [
        *(
            "eval(x)",
            "torch.load(p)",
            "torch.load(p, weights_only=flag)",
            "np.load(p, allow_pickle=True)",
            "import pickle",
            "YAML()",
        ),
        *("from pickle import loads", "subprocess.run(c, shell=True)", "archive.extractall(p)"),
    ],
)
def test_such_a_module_would_be_noticed(code):
    assert dangers(ast.parse(code))


def test_loading_with_numpy_and_pandas_takes_no_pickle():
    """np.load refuses pickles unless it is told otherwise, whatever the file says."""
    calls = [
        node
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("np.load", "numpy.load")
    ]
    assert calls
    assert not any(word.arg == "allow_pickle" for call in calls for word in call.keywords)


def test_pip_only_downloads_wheels_with_hashes(tmp_path, monkeypatch):
    commands = []

    def run(command, **options):
        commands.append((command, options))
        return subprocess.CompletedProcess(command, 1, "", "ERROR: no")

    monkeypatch.setattr(fetching.subprocess, "run", run)
    listed = requirements(tmp_path, f"spam==1.0 --hash=sha256:{'0' * 64}\n")
    with pytest.raises(StudyError):
        fetching.fetch_wheels(listed, tmp_path / "cache")
    ((command, options),) = commands
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "--require-hashes"} <= set(command)
    assert not options.get("shell")


def test_a_source_package_is_not_built(index, tmp_path):  # noqa: F811
    """Building one would run its setup.py."""
    folder = tmp_path / "spam-1.0"
    folder.mkdir()
    (folder / "setup.py").write_text(f"open({str(tmp_path / 'pwned')!r}, 'w')\n")
    (folder / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: spam\nVersion: 1.0\n")
    archive = index / "spam-1.0.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(folder, "spam-1.0")
    with pytest.raises(StudyError, match="no pure-Python wheel"):
        fetching.fetch_wheels(requirements(tmp_path, line(archive)), tmp_path / "cache")
    assert not (tmp_path / "pwned").exists()


def test_what_a_wheel_holds_is_read_and_never_run(index, tmp_path, monkeypatch):  # noqa: F811
    """Download and preparation of a wheel whose every file would leave a trace."""
    trace = f"open({str(tmp_path / 'pwned')!r}, 'w')\n" + corpus.TEXT.decode()
    names = ("spam", "setup", "conftest", "sitecustomize", "usercustomize", "__init__", "__main__")
    evil = [(corpus.member(f"{name}.py"), trace.encode() + name.encode()) for name in names]
    evil += [(corpus.member("spam.pth"), f"import os; {trace}".encode())]
    wheel = build_wheel(index, "spam")
    with corpus.zipfile.ZipFile(wheel, "a") as archive:
        for info, content in evil[1:]:
            archive.writestr(info, content)
    (fetched,) = fetching.fetch_wheels(requirements(tmp_path, line(wheel)), tmp_path / "cache")
    root = corpus.with_raw(tmp_path, fetched.read_bytes())
    paths = StudyPaths(root)
    config = load_config(paths.params)
    tokenizer = config.tokenizer.model_copy(update={"d_vocab": 300})
    monkeypatch.chdir(root)
    with watched() as seen:
        prepare.main(paths, config.model_copy(update={"tokenizer": tokenizer}))
    assert not [
        event for event, _ in seen if event.startswith(("subprocess", "os.system", "pickle"))
    ]
    assert (paths.tokens / "train.bin").stat().st_size > 0
    assert not (tmp_path / "pwned").exists()
    assert "spam" not in sys.modules


def test_no_command_of_the_pipeline_holds_a_parameter():
    """DVC hands commands to a shell."""
    pipeline = YAML(typ="safe").load(ROOT / "dvc.yaml")
    for stage in pipeline["stages"].values():
        assert "${" not in stage.get("do", stage)["cmd"]


EVIL = "x; touch pwned; $(touch pwned) `touch pwned` '\"' & touch pwned #"


def dvc_project(folder: Path, *names: str) -> Path:
    """A checkout with the real dvc.yaml and code, in which these are models too."""
    models = {**parameters.VALUES["models"], **dict.fromkeys(names, parameters.MODEL)}
    root = parameters.project(folder, parameters.yaml_of({**parameters.VALUES, "models": models}))
    shutil.copyfile(ROOT / "dvc.yaml", root / "dvc.yaml")
    shutil.copytree(ROOT / "src", root / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (root / "data" / "tokens").mkdir()
    (root / "data" / "tokens" / "manifest.json").write_text("{}")
    for command in (["git", "init", "--quiet"], [sys.executable, "-m", "dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=root, check=True)
    return root


def dvc_repro(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dvc", "repro", *arguments],
        cwd=root,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "DVC_NO_ANALYTICS": "1",
            "SHELL": "/bin/sh",
        },
        capture_output=True,
        text=True,
    )


def test_a_hostile_name_reaches_no_shell_through_dvc(tmp_path):
    root = dvc_project(tmp_path, EVIL)
    run = dvc_repro(root, "--single-item", f"train@{EVIL}")
    assert run.returncode
    assert "use lower-case letters, digits and hyphens" in run.stderr
    assert not list(tmp_path.rglob("pwned"))

    # The same name in a command would have been run.
    pipeline = (root / "dvc.yaml").read_text()
    (root / "dvc.yaml").write_text(pipeline.replace('"$DVC_STAGE"', "${key}"))
    dvc_repro(root, "--single-item", f"train@{EVIL}")
    assert (root / "pwned").exists()


@pytest.mark.parametrize("name", ["../../src", "../../../victim", "../tokens"])
def test_a_name_that_is_a_path_deletes_nothing_through_dvc(name, tmp_path):
    """DVC deletes a stage's outputs before it runs the stage. But the outputs of train, measure and
    ablate then are one and the same, which it refuses."""
    root = dvc_project(tmp_path, name)
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim" / "file").touch()
    for arguments in ((), (f"train@{name}",)):
        run = dvc_repro(root, *arguments)
        assert run.returncode
        assert "is specified in" in run.stderr
    assert (root / "src" / "induction" / "config" / "__init__.py").is_file()
    assert (root / "data" / "tokens" / "manifest.json").is_file()
    assert (tmp_path / "victim" / "file").is_file()


def test_a_stage_takes_its_model_by_name_or_from_dvc(monkeypatch):
    for argument in ("attn-2l", "train@attn-2l"):
        monkeypatch.setattr(sys, "argv", ["train", argument])
        assert model_argument() == "attn-2l"
