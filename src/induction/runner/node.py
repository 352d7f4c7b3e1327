"""What runs on a node of the cluster: a look at whether it fits, and a stage's command.

Ray's workers get this code itself: it needs the standard library and psutil alone, and to tell the
kind of processor what the stages need anyway.
"""

import json
import os
import platform
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_SECONDS_OF_A_LOOK = 0.5
_SECONDS_FOR_LAST_WORDS = 1.0


def versions(packages: Iterable[str]) -> dict[str, str]:
    """Versions of this machine's Python and, of these packages, those that it has."""
    found = {"Python": platform.python_version()}
    for name in packages:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def misfit(token: Path) -> str | None:
    """Why stages cannot run here, or None.

    token: a JSON file in the scratch folder with the `versions` of the machine that DVC runs on.
    That it is here, at the same path, shows that the checkout is on a shared file system.
    """
    try:
        wanted = json.loads(token.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return f"{token.parents[2]} is not the folder that it is on this machine: share it"
    here = versions(wanted)
    for name, number in wanted.items():
        if here.get(name) != number:
            return f"has {name} {here.get(name, 'not at all')}, this machine {number}"
    return None


def look(token: Path) -> tuple[str | None, str]:
    """Why stages cannot run here, or None; and the kind of processor."""
    if problem := misfit(token):
        return problem, ""
    return None, import_module("induction.processor").kind()


class StageOnNode:
    """One stage's command on a node, as an actor of the process that hands it over.

    When that process is gone, Ray ends the actor's process, and the supervisor then ends the
    command.
    """

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._output = bytearray()
        self._status: int | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(
        self, token: Path, arguments: list[str], folder: Path, variables: dict[str, str]
    ) -> tuple[str, str | None]:
        """Start Python with these arguments, in this folder.

        Returns the ID of the node, and a misfit for which nothing is started.
        """
        node = import_module("ray").get_runtime_context().get_node_id()
        if problem := misfit(token):
            return node, problem
        python = Path(sys.executable)
        search = os.pathsep.join([str(python.parent), os.environ.get("PATH", os.defpath)])
        self._process = subprocess.Popen(
            [str(python), "-m", "induction.runner.supervisor", str(python), *arguments],
            cwd=folder,
            env={**os.environ, **variables, "PATH": search},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self._attend, args=(self._process,), daemon=True).start()
        return node, None

    def look(self) -> tuple[bytes, int | None]:
        """What it has said since the last look, and its exit status if it has ended.

        Waits for a moment when there is nothing new.
        """
        with self._news:
            self._news.wait_for(
                lambda: self._output or self._status is not None, _SECONDS_OF_A_LOOK
            )
            output = bytes(self._output)
            self._output.clear()
            return output, self._status

    def interrupt(self) -> None:
        """Interrupt the command and what that has started, but not the supervisor."""
        import psutil

        if self._process is None:
            return
        with suppress(psutil.Error):
            for process in psutil.Process(self._process.pid).children(recursive=True):
                with suppress(psutil.Error):
                    process.send_signal(signal.SIGINT)

    def _attend(self, process: subprocess.Popen[bytes]) -> None:
        reader = threading.Thread(target=self._read, args=(process,), daemon=True)
        reader.start()
        status = process.wait()
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what the command has left behind
        reader.join(_SECONDS_FOR_LAST_WORDS)
        with self._news:
            self._status = status if status >= 0 else 128 - status
            self._news.notify_all()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout
        while piece := os.read(process.stdout.fileno(), 65536):
            with self._news:
                self._output += piece
                self._news.notify_all()
