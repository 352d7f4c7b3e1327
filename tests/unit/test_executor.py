"""Back ends of the runner, without Ray: a made package takes its place."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from ruamel.yaml import YAML

from induction.config import RESOURCE_GROUPS, ExternalModel, StudyConfig, load_config
from induction.errors import StudyError
from induction.paths import StudyPaths
from induction.runner import submit
from induction.runner.cluster import Cluster
from induction.runner.estimate import Durations
from induction.runner.executor import make_executor
from induction.runner.local import Local
from induction.runner.node import StageOnNode, look, misfit, versions
from induction.runner.schedule import Schedule

ROOT = Path(__file__).parents[2]
PARAMS = ROOT / "params.yaml"


class RayError(Exception):
    pass


class GetTimeoutError(RayError):
    pass


class MadeRay:
    """As much of the package as the check of a cluster needs; nodes run what they are sent here.

    ends: by the name of a node, what its look ends with in place of an answer. processors: those of
    nodes that have another than this machine.
    """

    def __init__(self, *nodes: dict[str, float]):
        self.exceptions = SimpleNamespace(
            RayError=RayError,
            GetTimeoutError=GetTimeoutError,
            NodeDiedError=type("NodeDiedError", (RayError,), {}),
            TaskUnschedulableError=type("TaskUnschedulableError", (RayError,), {}),
            WorkerCrashedError=type("WorkerCrashedError", (RayError,), {}),
        )
        self.cloudpickle = SimpleNamespace(register_pickle_by_value=lambda module: None)
        self.ends: dict[str, Exception] = {}
        self.processors: dict[str, str] = {}
        self._nodes = [
            {"NodeID": f"id-{number}", "NodeName": f"node-{number}", "Alive": True, "Resources": it}
            for number, it in enumerate(nodes, 1)
        ]

    def init(self, **settings: Any) -> None:
        print("(raylet) much to say")

    def shutdown(self) -> None:
        pass

    def nodes(self) -> list[dict[str, Any]]:
        return self._nodes

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(gcs_address="10.0.0.1:6379")

    def remote(self, function: Any) -> Any:
        def options(*, scheduling_strategy: str, **_: Any) -> SimpleNamespace:
            name = scheduling_strategy.replace("id", "node")
            return SimpleNamespace(remote=lambda *given: (name, lambda: function(*given)))

        return SimpleNamespace(options=options)

    def wait(self, references: list[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        return references, []

    def get(self, reference: Any, timeout: float) -> Any:
        name, work = reference
        if name in self.ends:
            raise self.ends[name]
        problem, processor = work()
        return problem, self.processors.get(name, processor)


@pytest.fixture
def paths(tmp_path: Path) -> StudyPaths:
    (tmp_path / "requirements.lock").write_text("psutil==7.0\nnot-a-package==1.0\n")
    return StudyPaths(tmp_path)


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> MadeRay:
    made = MadeRay({"CPU": 4.0, "memory": 8.0 * 2**30}, {"CPU": 2.0, "GPU": 1.0})
    strategies = SimpleNamespace(NodeAffinitySchedulingStrategy=lambda identity, soft: identity)
    monkeypatch.setitem(sys.modules, "ray", made)
    monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", strategies)
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return made


def config(**resources: dict[str, float]) -> StudyConfig:
    given = load_config(PARAMS).model_dump()
    given["resources"] |= resources
    return StudyConfig.model_validate_json(json.dumps(given))


def refusal(paths: StudyPaths, settings: StudyConfig, *stages: str, address: str = "auto") -> str:
    with pytest.raises(StudyError) as error:
        Cluster(address, paths, settings).prepare(stages)
    return str(error.value)


def test_a_name_chooses_the_back_end(paths: StudyPaths):
    assert isinstance(make_executor("local", None, paths, config()), Local)
    assert isinstance(make_executor("ray", None, paths, config()), Cluster)
    with pytest.raises(StudyError, match="say EXECUTOR=ray too"):
        make_executor("local", "10.0.0.1:6379", paths, config())


@pytest.mark.parametrize(
    "arguments", [["--executor", "slurm"], ["--address", "10.0.0.1:6379"]], ids=" ".join
)
def test_the_command_refuses_what_is_no_back_end(arguments: list[str], tmp_path: Path):
    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "params.yaml").write_bytes(PARAMS.read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "induction.runner", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert not (tmp_path / ".scratch").exists()


def test_without_ray_the_line_says_how_to_install_it(
    paths: StudyPaths, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "ray", None)
    assert "pip install -e '.[ray]'" in refusal(paths, config(), "pca")


@pytest.mark.parametrize("address", ["ray://head:10001", "local", "head", "head:port", "a b:1", ""])
def test_an_address_of_another_form_is_refused(paths: StudyPaths, ray: MadeRay, address: str):
    assert "expected auto, or HOST:PORT" in refusal(paths, config(), "pca", address=address)


def test_a_cluster_that_does_not_answer_is_one_line(paths: StudyPaths, ray: MadeRay):
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    line = refusal(paths, config(), "pca", address=address)
    assert line.startswith(f"address {address}: no Ray cluster")


def test_a_cluster_that_ray_refuses_is_one_line(paths: StudyPaths, ray: MadeRay, monkeypatch):
    def init(**settings: Any) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.9")

    monkeypatch.setattr(ray, "init", init)
    assert "Version mismatch: The cluster was started with: Ray: 2.9" in refusal(
        paths, config(), "pca"
    )


def test_stages_at_a_time_are_those_that_fit_into_the_cluster(
    paths: StudyPaths, ray: MadeRay, capsys: pytest.CaptureFixture[str]
):
    def room(*stages: str, **asked: dict[str, float]) -> int:
        return Cluster("auto", paths, config(**asked)).prepare(stages)

    assert room("train@attn-2l") == 6
    assert room("train@attn-2l", train={"cpus": 3, "gpus": 0}) == 1
    assert room("train@attn-2l", train={"cpus": 1, "gpus": 0.25}) == 2
    assert room("train@attn-2l", "pca", train={"cpus": 1, "gpus": 1}) == 6
    assert room("pca", pca={"cpus": 1, "gpus": 0, "memory_gib": 2.0}) == 4
    assert capsys.readouterr().out == ""


def test_what_no_node_has_is_refused(paths: StudyPaths, ray: MadeRay):
    line = refusal(paths, config(train={"cpus": 1, "gpus": 2}), "pca", "train@attn-2l")
    assert line.startswith("params.yaml: resources: train asks for 1 CPU and 2 GPUs, and no node")
    assert "nodes with 2 CPUs and 1 GPU; 4 CPUs and 8 GiB of memory" in line
    line = refusal(paths, config(pca={"cpus": 3, "gpus": 1}), "pca")
    assert "pca asks for 3 CPUs and 1 GPU" in line


def test_cuda_without_a_gpu_asked_for_is_refused(paths: StudyPaths, ray: MadeRay):
    given = config().model_dump()
    given["compute"]["device"] = "cuda"
    settings = StudyConfig.model_validate_json(json.dumps(given))
    line = refusal(paths, settings, "train@attn-2l", "pca")
    assert line.startswith("params.yaml: resources: train asks for no GPU, but compute.device is")
    assert Cluster("auto", paths, settings).prepare(["pca"]) == 6


def on_gpu(*, ours: bool = False, theirs: bool = False, asking: str = "default") -> StudyConfig:
    """A configuration with a model of others, ours or theirs on a GPU, which one group asks for."""
    asked: dict[str, float] = {"cpus": 1, "gpus": int(asking != "default")}
    given = config(**{asking: asked}).model_dump()
    given["compute"]["device"] = "cuda" if ours else "cpu"
    theirs_on = "cuda" if theirs else "cpu"
    given["external"] = {
        "theirs": {
            **{"source": "a/b", "revisions": {"one": 1}, "batch_tokens": 1, "n_layers": 2},
            **{"device": theirs_on, "dtype": "float32"},
        }
    }
    return StudyConfig.model_validate_json(json.dumps(given))


@pytest.mark.parametrize("group", ["train", "measure", "ablate", "behave"])
def test_every_stage_on_a_gpu_must_ask_for_one(group: str, paths: StudyPaths, ray: MadeRay):
    line = refusal(paths, on_gpu(ours=True), f"{group}@attn-2l")
    assert f"{group} asks for no GPU, but compute.device is cuda" in line
    settings = on_gpu(ours=True, asking=group)
    assert Cluster("auto", paths, settings).prepare([f"{group}@attn-2l"]) == 1


@pytest.mark.parametrize("group", ["measure-external", "ablate-external", "behave-external"])
def test_models_of_others_say_themselves_where_they_run(
    group: str, paths: StudyPaths, ray: MadeRay
):
    line = refusal(paths, on_gpu(theirs=True), f"{group}@theirs")
    assert f"{group} asks for no GPU, but external.theirs.device is cuda: ask for one" in line
    for settings in (on_gpu(ours=True), on_gpu(theirs=True, asking=group)):
        assert Cluster("auto", paths, settings).prepare([f"{group}@theirs"])
    assert Cluster("auto", paths, on_gpu(theirs=True)).prepare(["revisions@theirs"]) == 6


def test_on_this_machines_gpu_stages_run_one_by_one(paths: StudyPaths, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    counts = [
        Local(paths, settings).prepare([])
        for settings in (on_gpu(), on_gpu(ours=True), on_gpu(theirs=True))
    ]
    assert counts == [4, 1, 1]


def test_a_node_that_cannot_run_stages_is_named(paths: StudyPaths, ray: MadeRay):
    ray.ends["node-2"] = RayError("a long story\nModuleNotFoundError: No module named 'psutil'")
    line = refusal(paths, config(), "pca")
    assert line.startswith("node node-2: cannot run the code")
    assert line.endswith("ModuleNotFoundError: No module named 'psutil'")
    ray.ends["node-2"] = GetTimeoutError()
    assert "node node-2: has not answered" in refusal(paths, config(), "pca")


def test_a_node_that_has_just_died_counts_no_more(paths: StudyPaths, ray: MadeRay):
    ray.ends["node-1"] = ray.exceptions.NodeDiedError()
    assert Cluster("auto", paths, config()).prepare(["pca"]) == 2
    ray.ends["node-2"] = ray.exceptions.TaskUnschedulableError()
    assert "pca asks for 1 CPU, and no node" in refusal(paths, config(), "pca")


def test_another_folder_or_version_is_a_misfit(tmp_path: Path):
    token = tmp_path / ".scratch" / "cluster" / "token.json"
    assert misfit(token) == f"{tmp_path} is not the folder that it is on this machine: share it"
    token.parent.mkdir(parents=True)
    here = versions(["psutil", "not-a-package"])
    assert set(here) == {"Python", "psutil"}
    token.write_text(json.dumps(here))
    assert misfit(token) is None
    token.write_text(json.dumps(here | {"psutil": "0.1"}))
    assert misfit(token) == f"has psutil {here['psutil']}, this machine 0.1"
    token.write_text(json.dumps(here | {"not-a-package": "1.0"}))
    assert misfit(token) == "has not-a-package not at all, this machine 1.0"
    assert look(token) == (misfit(token), "")


def test_work_that_would_move_to_another_kind_of_processor_is_refused(
    paths: StudyPaths, ray: MadeRay
):
    made = [f"{make} family 6 model 143 (AVX512)" for make in ("GenuineIntel", "AuthenticAMD")]
    ray.processors = {"node-1": made[0], "node-2": made[1]}
    assert refusal(paths, config(), "train@attn-2l").startswith(
        f"node node-2: its processor is {made[1]}, that of node node-1 {made[0]}, and train does "
        "not go on"
    )
    on_gpus = config(train={"cpus": 1, "gpus": 1})  # which the second node alone has
    assert Cluster("auto", paths, on_gpus).prepare(["train@attn-2l", "pca"]) == 6
    assert submit._PASSED_ON.fullmatch("ATEN_CPU_CAPABILITY")


def test_the_order_of_a_stage_has_what_its_entry_asks_for(
    paths: StudyPaths, monkeypatch: pytest.MonkeyPatch
):
    started: dict[str, Any] = {}
    monkeypatch.setattr(
        "induction.runner.cluster.StageProcess",
        lambda stage, paths, threads, variables: started.update({stage: variables}),
    )
    asked = {"cpus": 2, "gpus": 0.5, "memory_gib": 4.0}
    cluster = Cluster("10.0.0.1:6379", paths, config(train=asked))
    for stage in ("train@attn-2l", "pca"):
        cluster.start(stage)
    orders = {name: json.loads(given[submit.VARIABLE]) for name, given in started.items()}
    train = orders["train@attn-2l"]
    assert (train["cpus"], train["gpus"], train["memory"]) == (2, 0.5, 4 * 2**30)
    assert (orders["pca"]["cpus"], orders["pca"]["gpus"], orders["pca"]["memory"]) == (1, 0, None)
    first = started["pca"]["PATH"].split(os.pathsep)[0]
    assert first == str(paths.scratch / "cluster")


def test_a_command_on_a_node_gives_its_words_and_status(
    paths: StudyPaths, monkeypatch: pytest.MonkeyPatch
):
    context = SimpleNamespace(get_node_id=lambda: "id")
    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(get_runtime_context=lambda: context))
    token = paths.root / "token.json"
    token.write_text("{}")

    def end(program: str, interrupt: bool = False) -> tuple[str, int | None]:
        stage = StageOnNode()
        variables = {"WORD": "given", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
        begun = stage.start(token, ["-uc", program], paths.root, variables)
        assert begun == ("id", None)
        said, status = b"", None
        while status is None:
            output, status = stage.look()
            said += output
            if output and interrupt:
                stage.interrupt()
                interrupt = False
        return said.decode(), status

    assert end("import os; print(os.environ['WORD'], os.getcwd())") == (
        f"given {paths.root}\n",
        0,
    )
    assert end("import sys; sys.exit('no luck')") == ("no luck\n", 1)
    assert end("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")[1] == 128 + 9
    wait = (
        "import sys, time\n"
        "try: sys.stdout.write('here\\n'), time.sleep(60)\n"
        "except KeyboardInterrupt: print('end')"
    )
    assert end(wait, interrupt=True) == ("here\nend\n", 0)
    # As in the background of a shell, and as in Ray's workers.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        assert end(wait, interrupt=True) == ("here\nend\n", 0)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        signal.signal(signal.SIGINT, before)
    token.unlink()
    _, problem = StageOnNode().start(token, ["-c", ""], paths.root, {})
    assert problem


def test_every_stage_can_have_an_entry(tmp_path: Path):
    stages = YAML(typ="safe", pure=True).load((ROOT / "dvc.yaml").read_text())["stages"]
    assert set(stages) <= set(RESOURCE_GROUPS)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "  trian:\n    cpus: 1\n    gpus: 0\n",
            "resources.trian: unknown key: did you mean",
        ),
        (
            "  train:\n    cpu: 1\n    gpus: 0\n",
            "resources.train.cpu: unknown key: did you mean",
        ),
        ("  train:\n    cpus: 0\n    gpus: 0\n", "resources.train.cpus: expected"),
        ("  train:\n    cpus: 1\n    gpus: 1.5\n", "resources.train.gpus: 1.5: above 1, expected"),
        ("  train:\n    cpus: 1\n", "resources.train.gpus: this key is missing"),
    ],
)
def test_a_wrong_entry_is_named(text: str, line: str, tmp_path: Path):
    params = tmp_path / "params.yaml"
    params.write_text(PARAMS.read_text().replace("resources:", "resources:\n" + text + "#", 1))
    with pytest.raises(StudyError) as error:
        load_config(params)
    assert str(error.value).startswith(f"params.yaml: {line}")


def test_the_entry_for_all_is_needed(tmp_path: Path):
    params = tmp_path / "params.yaml"
    params.write_text(PARAMS.read_text().replace("  default:", "  train:", 1))
    with pytest.raises(StudyError, match=r"resources\.default: this key is missing"):
        load_config(params)


def test_a_model_with_threads_of_its_own_fills_as_many_places():
    entry = ExternalModel(
        source="them", batch_tokens=1, n_layers=1, device="cpu", dtype="float32", threads=2
    )
    config = load_config(PARAMS).model_copy(update={"external": {"large": entry}})
    local = Local(StudyPaths(ROOT), config)
    assert [local.places(f"{name}@large") for name in ("measure-external", "ablate-external")] == [
        2,
        2,
    ]
    assert local.places("train@attn-1l") == local.places("report") == 1


def test_a_stage_of_several_places_waits_for_them_and_runs_alone_where_there_are_fewer():
    class Stage:
        def __init__(self, name: str):
            self.name, self.started, self.looks = name, 0.0, 0

        def poll(self) -> int | None:
            self.looks += 1
            return 0 if self.looks > 2 else None

        def report(self) -> None:
            return None

        def skipped(self) -> None:
            return None

    seen: list[set[str]] = []
    schedule = Schedule(
        {name: frozenset() for name in ("a", "b", "large", "c")},
        2,
        cast("Durations", SimpleNamespace(expected=lambda s: None, learn=lambda s, t: None)),
        lambda stage: 3 if stage == "large" else 1,
    )
    quiet = SimpleNamespace(
        started=lambda stage: seen.append(set(schedule.running)),
        finished=lambda *about: None,
        refresh=lambda schedule: None,
    )
    schedule.run(cast("Any", Stage), cast("Any", quiet), lambda: 0)
    assert schedule.done == {"a", "b", "large", "c"}
    assert {"large"} in seen
    assert not any("large" in running and len(running) > 1 for running in seen)
