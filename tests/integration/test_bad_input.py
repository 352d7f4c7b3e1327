"""Bad input through real commands: the exit status, the one line, and how much memory it took.

The many cases run inside the tests' own process (test_bad_parameters, test_bad_corpus,
test_bad_results); here is what only a process of its own can show, and how many cases there are.
"""

import io
import json
import os
import resource
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import test_bad_corpus as corpus
import test_bad_parameters as parameters
import test_bad_results as results
from refusals import ROOT, SECONDS, check_line, files_below

BY_HAND = [
    *(parameters.HOSTILE_NAMES, parameters.NOT_YAML, parameters.ODD_PLACES, parameters.ODD_NUMBERS),
    *(corpus.OWN_FILES, corpus.GLOBS, corpus.SOURCES, corpus.WHEELS),
    *(results.TOKENS, results.TOKENIZERS, results.MANIFESTS, results.SNAPSHOTS),
    *(results.MEASUREMENTS, results.TABLES),
]


def test_there_are_hundreds_of_cases():
    by_key = len(parameters.LEAVES) * 3
    generated = sum(
        count for module in (parameters, corpus, results) for count in module.GENERATED.values()
    )
    assert sum(map(len, BY_HAND)) >= 200
    assert by_key >= 200
    assert generated >= 200


def refused(root: Path, *command: str, megabytes: int = 1000) -> str:
    """The one line of a command that fails and changes nothing, with this much memory to use."""

    def limit_memory() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (megabytes * 1_000_000, megabytes * 1_000_000))

    before = files_below(root)
    run = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=root,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT / "src"),
            "OMP_NUM_THREADS": "1",
            "INDUCTION_PROGRESS": str(root.parent / "progress.json"),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        preexec_fn=limit_memory,
        timeout=SECONDS,
    )
    assert run.returncode == 1, run.stderr
    assert run.stderr.endswith("\n")
    (line,) = run.stderr.splitlines()
    check_line(line)
    after = files_below(root)
    after.pop(str(root / ".scratch" / "study.lock"), None)
    assert after == before
    return line


def test_an_argument_is_no_shell_command(tmp_path):
    root = parameters.project(tmp_path, parameters.TEXT.encode())
    line = refused(root, "induction.stages.train", "x; touch pwned")
    assert "params.yaml: models.x; touch pwned: unknown key" in line
    line = refused(root, "induction.stages.measure", "../../evil\n$(touch pwned)")
    assert "unknown key" in line


def test_the_runner_starts_nothing_for_a_hostile_name(tmp_path):
    models = {**parameters.VALUES["models"], "x; touch pwned": parameters.MODEL}
    content = parameters.yaml_of({**parameters.VALUES, "models": models})
    root = parameters.project(tmp_path, content)
    line = refused(root, "induction.runner")
    assert line.startswith("study: params.yaml: models.x; touch pwned: use lower-case letters")


def test_a_tag_of_python_is_not_obeyed(tmp_path):
    root = parameters.project(tmp_path, parameters.NOT_YAML["a tag of Python"])
    line = refused(root, "induction.stages.fetch")
    assert "could not determine a constructor" in line


def test_references_that_explode_take_no_memory(tmp_path):
    root = parameters.project(tmp_path, parameters.NOT_YAML["references that explode"])
    line = refused(root, "induction.stages.fetch", megabytes=300)
    assert "more than 500,000 values" in line


def test_a_line_of_400_megabytes_takes_no_memory(tmp_path):
    root = corpus.project(tmp_path)
    corpus.huge_line(root / "own")
    line = refused(root, "induction.stages.fetch", megabytes=300)
    assert "a.txt: 400,000,000 bytes" in line


def deflated(*members: tuple[str, int], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, size in members:
            archive.writestr(name, bytes(size))
    return buffer.getvalue()


def listed(count: int) -> bytes:
    """A zip file that is all list: so many members, and nothing behind them."""
    record = b"PK\x01\x02" + bytes(24) + b"\1\0" + bytes(16) + b"a"
    size = (count * len(record)).to_bytes(4, "little")
    return record * count + b"PK\x05\x06" + bytes(4) + b"\xff\xff\xff\xff" + size + bytes(6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (deflated(("a.py", 300_000_000)), "0 of its documents are kept"),
        (deflated(*((f"{n}.py", 2_000_000) for n in range(100))), "0 of its documents are kept"),
        (deflated(("a.py", 300_000_000), method=zipfile.ZIP_BZIP2), "compressed by method 12"),
        (deflated(("a.py", 300_000_000), method=zipfile.ZIP_LZMA), "compressed by method 14"),
        (listed(500_000), "500,000 members, at most 20,000"),
    ],
    ids=["one large member", "many large members", "bzip2", "lzma", "a long list"],
)
def test_a_wheel_that_would_fill_the_memory_does_not(content, message, tmp_path):
    root = corpus.with_raw(tmp_path, content)
    assert message in refused(root, "induction.stages.prepare", megabytes=400)


def test_weights_that_claim_to_be_huge_take_no_memory(tmp_path):
    root = tmp_path / "study"
    root.mkdir()
    paths = results.StudyPaths(root)
    (root / "data").mkdir()
    (root / "src").symlink_to(ROOT / "src")
    for name in ("dvc.yaml", "params/smoke.yaml"):
        (root / Path(name).name).write_bytes((ROOT / name).read_bytes())
    (root / "smoke.yaml").rename(paths.params)
    config = results.load_config(paths.params)
    results.make_tokens(paths.tokens, config)
    results.make_snapshot(folder := paths.snapshots(results.MODEL), config)
    path = results.snapshot_of(folder)
    about = json.loads(results.metadata_of(path)["induction"])
    about["spec"] |= {"d_model": 131_072, "d_mlp": 131_072, "n_layers": 1000, "attn_only": False}
    weights = results.load_file(path)
    results.save_file(weights, path, metadata={"induction": json.dumps(about)})
    results.sealed_again(folder)
    assert "not the weights of this model" in refused(
        root, "induction.stages.measure", results.MODEL, megabytes=2000
    )
