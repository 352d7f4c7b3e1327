"""Stands in for `python` in DVC's commands: runs the command on a node of a Ray cluster.

`python -m induction.runner.submit ARGUMENTS` does what `python ARGUMENTS` does, with its output and
its exit status. The environment variable INDUCTION_REQUEST says where and with what (see
`Request`). A command whose node goes away runs again on another one; a stage then goes on from what
lies in the scratch folder.
"""

import json
import logging
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

import induction
from induction.errors import StudyError, ends_in_one_line, one_line
from induction.files import PATIENCE_VARIABLE
from induction.progress import progress
from induction.runner import node

VARIABLE = "INDUCTION_REQUEST"
_TRIES = 5
_SECONDS_TO_ANSWER = 5.0
_SECONDS_BETWEEN_LOOKS = 0.2
# Network file systems free the locks of a machine that is gone after a minute or two.
_SECONDS_FOR_A_LOCK = 180
# Of the environment, what makes results or fetches data. The rest belongs to a machine.
_PASSED_ON = re.compile(
    r"(DVC|INDUCTION|PIP|HF|ATEN|CUBLAS|MKL|NUMBA|ONEDNN|TORCH)_.*|PYTHON(?!HOME).*|QUARTO|LANG|LC_.*"
    r"|.*_(NUM|MAX|MAXIMUM)_THREADS|(HTTPS?|NO|ALL)_PROXY|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Request:
    """What a command asks for: CPUs, GPUs and bytes of memory of a node; see `node.misfit`."""

    address: str
    token: str
    cpus: int
    gpus: float
    memory: int | None

    def text(self) -> str:
        return json.dumps(asdict(self))


class _Gone(Exception):
    """The node, or Ray's process on it, went away before the command ended."""


@contextmanager
def joined(address: str) -> Iterator[Any]:
    """Be part of the cluster at an address (HOST:PORT or `auto`); yields the package `ray`.

    Without what Ray prints, and without its handler of SIGTERM afterwards. Raises StudyError when
    there is no such package, address or cluster, or another version of Ray or Python there.
    """
    if not re.fullmatch(r"auto|[^\s/:]+:\d{1,5}", address):
        raise StudyError(f"address {address}: expected auto, or HOST:PORT of the cluster's head")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing is sent anywhere
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "2")  # of 40 s, to reach it; not of 20
    try:
        ray = import_module("ray")
    except ModuleNotFoundError as error:
        raise StudyError(
            f"{error.name}: not installed: EXECUTOR=ray needs it, here and on every node: "
            "`source .venv/bin/activate && pip install -e '.[ray]'`"
        ) from None
    handler = signal.getsignal(signal.SIGTERM)
    host, _, port = address.partition(":")
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
        try:
            if port:
                socket.create_connection((host, int(port)), _SECONDS_TO_ANSWER).close()
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, RuntimeError, ValueError, OverflowError) as error:
            raise StudyError(
                f"address {address}: no Ray cluster that this machine is part of: "
                f"{one_line(str(error))}: `ray start` makes one, see docs/gpus-and-clusters.md"
            ) from None
        # Nodes get the code of that module, since their Python need not find it.
        ray.cloudpickle.register_pickle_by_value(node)
        try:
            yield ray
        finally:
            ray.shutdown()
            signal.signal(signal.SIGTERM, handler)


def main() -> int:
    """Run the command of sys.argv; returns its exit status, 130 if stopped. One that cannot run
    ends with one line, as every command does."""
    stage = os.environ.get("DVC_STAGE", "command")
    with ends_in_one_line(stage):
        try:
            request = Request(**json.loads(os.environ[VARIABLE]))
            with joined(request.address) as ray, _noted_signals() as signals:
                return _run(ray, request, stage, signals)
        except KeyboardInterrupt:
            return 130


def _run(ray: Any, request: Request, stage: str, signals: list[int]) -> int:
    for _ in range(_TRIES):
        actor = (
            ray.remote(node.StageOnNode)
            .options(num_cpus=request.cpus, num_gpus=request.gpus, memory=request.memory)
            .remote()
        )
        try:
            return _follow(ray, actor, request, stage, signals)
        except _Gone as gone:
            _say(f"{stage}: its node is gone ({gone}): trying another\n".encode())
        finally:
            ray.kill(actor)
    raise StudyError(f"{_TRIES} nodes went away under it")


def _follow(ray: Any, actor: Any, request: Request, stage: str, signals: list[int]) -> int:
    """Pass on what a command says and what signals ask, until it ends; returns its exit status."""
    _remark(f"waiting for {asked_text(request.cpus, request.gpus, request.memory)}")
    variables = {
        name: value
        for name, value in os.environ.items()
        if name != VARIABLE and _PASSED_ON.fullmatch(name)
    }
    code = [str(Path(induction.__file__).parents[1]), variables.get("PYTHONPATH", "")]
    variables["PYTHONPATH"] = os.pathsep.join(filter(None, code))
    variables.setdefault(PATIENCE_VARIABLE, str(_SECONDS_FOR_A_LOCK))
    beginning = actor.start.remote(Path(request.token), sys.argv[1:], Path.cwd(), variables)
    while not signals and not _done(ray, beginning):
        pass
    if not _done(ray, beginning):
        return 130
    identity, problem = _answer(ray, beginning)
    name = node_name(ray, identity)
    if problem:
        raise StudyError(f"node {name}: {problem}")
    _say(f"{stage}: on node {name}\n".encode())
    _remark(f"on node {name}")
    interrupted, status = False, None
    while status is None:
        if signals and not interrupted:
            interrupted = True
            actor.interrupt.remote()
        look = actor.look.remote()
        while not _done(ray, look):
            if len(signals) > 1:
                return 130
        output, status = _answer(ray, look)
        _say(output)
    return status


def _remark(text: str) -> None:
    """What the display shows of a stage until that says itself how far it is."""
    with progress(1, "nodes") as report:
        report(0, text)


def _say(output: bytes) -> None:
    """Write to the standard output that this process was started with."""
    assert sys.__stdout__
    sys.__stdout__.buffer.write(output)
    sys.__stdout__.buffer.flush()


def asked_text(cpus: float, gpus: float, memory: int | None = None) -> str:
    """Resources for people: `2 CPUs, 1 GPU and 8 GiB of memory`."""
    parts = [f"{cpus:g} CPU{'s' * (cpus != 1)}", f"{gpus:g} GPU{'s' * (gpus > 1)}"]
    if not gpus:
        del parts[1]
    if memory:
        parts.append(f"{memory / 2**30:.3g} GiB of memory")
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if parts[1:] else parts)


def node_name(ray: Any, identity: str) -> str:
    """The name that a node was given when it was started, which is its address by default."""
    names = {found["NodeID"]: found["NodeName"] for found in ray.nodes()}
    return names.get(identity, identity)


def _done(ray: Any, reference: Any) -> bool:
    return bool(ray.wait([reference], timeout=_SECONDS_BETWEEN_LOOKS)[0])


def _answer(ray: Any, reference: Any) -> Any:
    errors = ray.exceptions
    try:
        return ray.get(reference)
    except (errors.RayActorError, errors.NodeDiedError) as error:
        if getattr(error, "actor_init_failed", False):
            raise StudyError(str(error)) from None
        raise _Gone(type(error).__name__) from None


@contextmanager
def _noted_signals() -> Iterator[list[int]]:
    """Note signals that ask to stop; the first is passed on, the second ends the wait."""
    received: list[int] = []

    def receive(number: int, frame: FrameType | None) -> None:
        received.append(number)

    before = {number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            with suppress(TypeError):  # a handler that was not set by Python
                signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
