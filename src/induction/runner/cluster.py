"""Stages on the nodes of a Ray cluster that share a file system with this machine.

DVC runs here: its locks, its record and its cache are on one machine. Only the commands of its
stages go elsewhere: DVC finds `python` in a folder that stands first in PATH, and that `python` is
`induction.runner.submit`.
"""

import os
import secrets
import shlex
import shutil
import sys
from collections.abc import Collection
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from induction.config import Resources, StudyConfig
from induction.environment import packages
from induction.errors import StudyError, one_line
from induction.files import write_json, write_text
from induction.paths import StudyPaths
from induction.runner.estimate import group
from induction.runner.local import StageProcess, threads_of
from induction.runner.node import look, versions
from induction.runner.submit import VARIABLE, Request, asked_text, joined

# Groups on the device that compute.device of params.yaml names.
_ON_DEVICE = {"train", "measure", "ablate", "behave", "steer", "ngrams", "llc", "explore"}
_SECONDS_TO_ANSWER = 120.0  # to import PyTorch from a slow file system takes one
# Whose unfinished work lies under a digest that has the kind of processor in it. The fetched models
# of others have groups of their own, with the same beginning.
_GOES_ON = ("train", "measure", "ablate", "behave", "steer", "ngrams", "llc")


@dataclass(frozen=True)
class _Node:
    identity: str
    name: str
    cpus: float
    gpus: float
    memory: float  # bytes
    processor: str = ""  # its kind, once the node was asked

    def room(self, asked: Resources) -> int:
        """How many stages that ask for this it can hold."""
        shares = [self.cpus / asked.cpus]
        if asked.gpus:
            shares.append(self.gpus / asked.gpus)
        if asked.memory:
            shares.append(self.memory / asked.memory)
        return int(min(shares))


class Cluster:
    """The back end that sends stages to a Ray cluster."""

    def __init__(self, address: str, paths: StudyPaths, config: StudyConfig) -> None:
        self._address = address
        self._paths = paths
        self._config = config
        self._home = paths.scratch / "cluster"
        self._token = self._home / f"{secrets.token_hex(8)}.json"

    def prepare(self, stages: Collection[str]) -> int:
        """Check the cluster and its nodes; returns how many of these stages fit into it at once.

        Raises StudyError when there is no such cluster, when no node has what a stage asks for,
        when a node sees another folder or has other versions than this machine, or when a stage
        that can go on from where it was stopped could do so on another kind of processor.
        """
        self._set_up()
        groups = {group(stage): self._config.resources_of(group(stage)) for stage in stages}
        for stage in sorted(stages):
            device, key = self._device(stage)
            if device == "cuda" and not groups[group(stage)].gpus:
                raise StudyError(
                    f"params.yaml: resources: {group(stage)} asks for no GPU, but {key} is cuda: "
                    f"ask for one, or set {key}: cpu"
                )
        with joined(self._address) as ray:
            # Stages join by themselves: an address that is found once stays the same for all.
            self._address = ray.get_runtime_context().gcs_address
            nodes = [_node(found) for found in ray.nodes() if found["Alive"]]
            used = [node for node in nodes if any(map(node.room, groups.values()))]
            used = _fit(ray, used, self._token)
        for name, asked in groups.items():
            if not any(node.room(asked) for node in used):
                raise StudyError(_no_room(name, asked, nodes))
            if name.startswith(_GOES_ON):
                _alike(name, [node for node in used if node.room(asked)])
        return max(sum(node.room(asked) for node in used) for asked in groups.values())

    def places(self, stage: str) -> int:
        """One each: Ray counts the processors that a stage asks for."""
        return 1

    def start(self, stage: str) -> StageProcess:
        asked = self._config.resources_of(group(stage))
        request = Request(self._address, str(self._token), asked.cpus, asked.gpus, asked.memory)
        search = [str(self._home), os.environ.get("PATH", os.defpath)]
        variables = {VARIABLE: request.text(), "PATH": os.pathsep.join(search)}
        return StageProcess(stage, self._paths, threads_of(self._config, stage), variables)

    def _device(self, stage: str) -> tuple[str, str]:
        """Where a stage computes, and the key of params.yaml that says so."""
        name, _, model = stage.partition("@")
        if name in _ON_DEVICE:
            return self._config.compute.device, "compute.device"
        if name.endswith("-external"):
            return self._config.external[model].device, f"external.{model}.device"
        return "cpu", ""

    def _set_up(self) -> None:
        """Write the `python` that submits, and the token that every node must see."""
        shutil.rmtree(self._home, ignore_errors=True)
        write_text(
            self._home / "python",
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m induction.runner.submit "$@"\n',
        )
        (self._home / "python").chmod(0o755)
        lock = self._paths.lock
        pinned = packages(lock.read_text(encoding="utf-8")) if lock.is_file() else {}
        write_json(self._token, versions(pinned))


def _node(found: dict[str, Any]) -> _Node:
    amounts = found["Resources"]
    return _Node(
        found["NodeID"],
        found["NodeName"],
        amounts.get("CPU", 0.0),
        amounts.get("GPU", 0.0),
        amounts.get("memory", 0.0),
    )


def _no_room(name: str, asked: Resources, nodes: list[_Node]) -> str:
    wanted = asked_text(asked.cpus, asked.gpus, asked.memory)
    found = sorted({asked_text(node.cpus, node.gpus, int(node.memory)) for node in nodes})
    return (
        f"params.yaml: resources: {name} asks for {wanted}, and no node of the cluster has that "
        f"(there are nodes with {'; '.join(found)}): ask for less, or add a node"
    )


def _alike(name: str, nodes: list[_Node]) -> None:
    """StudyError where the nodes for these stages have processors of several kinds.

    A stage that moved from one kind to the other would begin anew: its bits would be of neither.
    """
    for node in nodes:
        if node.processor != nodes[0].processor:
            raise StudyError(
                f"node {node.name}: its processor is {node.processor}, that of node "
                f"{nodes[0].name} {nodes[0].processor}, and {name} does not go on from one kind to "
                "the other: leave one out"
            )


def _fit(ray: Any, nodes: list[_Node], token: Path) -> list[_Node]:
    """Have every node look whether stages can run there; returns those that are still there, each
    with its processor.

    Raises StudyError naming a node where they cannot.
    """
    strategies = import_module("ray.util.scheduling_strategies")
    remote = ray.remote(look)
    asked = []
    for node in nodes:
        there = strategies.NodeAffinitySchedulingStrategy(node.identity, soft=False)
        options = remote.options(num_cpus=0, max_retries=0, scheduling_strategy=there)
        asked.append((node, options.remote(token)))
    if asked:
        answers = [answer for _, answer in asked]
        ray.wait(answers, num_returns=len(answers), timeout=_SECONDS_TO_ANSWER)
    errors = ray.exceptions
    alive = []
    for node, answer in asked:
        processor = ""
        try:
            problem, processor = ray.get(answer, timeout=0)
        except (errors.NodeDiedError, errors.TaskUnschedulableError, errors.WorkerCrashedError):
            continue  # it has just died, and the cluster is slow to say so
        except errors.GetTimeoutError:
            problem = f"has not answered within {_SECONDS_TO_ANSWER:.0f} s"
        except errors.RayError as error:
            last = one_line(str(error).strip().rpartition("\n")[2])
            problem = f"cannot run the code of {token.parents[2]}: {last}"
        if problem:
            raise StudyError(f"node {node.name}: {problem}")
        alive.append(replace(node, processor=processor))
    return alive
