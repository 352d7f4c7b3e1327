"""Processes that train one model together, each on its share of every batch.

A process group is what torchrun starts: it says in each process's environment which one it is.
Every process has the whole model and steps alike; gradients are averaged over all in one message a
step, with the loss. One flat message, not DistributedDataParallel: its buckets overlap with the
backward pass, but the message of these models takes little beside a step, and this way the weights
are those that the optimisers were given and nothing depends on the order in which gradients become
ready.
"""

import logging
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

from induction.errors import NO_MEMORY, StudyError, tells_of_no_memory

_ERROR_NAME = "StudyError: "
_CPU = torch.device("cpu")
# Others wait while the first one checks what it goes on from. Whoever started the group notices
# when one of its processes ends.
_LONGEST_WAIT = timedelta(days=1)


@dataclass(frozen=True)
class ProcessGroup:
    """This process among `size` that work together. The first one writes what is kept."""

    rank: int = 0
    size: int = 1
    device: torch.device = _CPU  # where messages are put together

    @property
    def first(self) -> bool:
        return self.rank == 0

    def average(self, weights: Sequence[Tensor], loss: Tensor) -> Tensor:
        """Replace the weights' gradients by their mean over the group; returns that of the loss."""
        if self.size == 1:
            return loss
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        flat = torch.cat([loss.reshape(1), *(gradient.flatten() for gradient in gradients)])
        with _together():
            dist.all_reduce(flat)
        flat /= self.size
        parts = flat[1:].split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))
        return flat[0].clone()  # a view would keep all gradients in memory

    def share(self, content: bytes) -> bytes:
        """The first process's content, in all of them."""
        if self.size == 1:
            return content
        length = torch.tensor([len(content)], device=self.device)
        with _together():
            dist.broadcast(length, src=0)
            data = torch.empty(int(length), dtype=torch.uint8, device=self.device)
            if self.first and content:
                data.copy_(torch.frombuffer(bytearray(content), dtype=torch.uint8))
            if len(data):
                dist.broadcast(data, src=0)
        return content if self.first else data.cpu().numpy().tobytes()


ALONE = ProcessGroup()


def in_process_group() -> bool:
    """Whether torchrun, or `launch`, started this process as one of several."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


@contextmanager
def joined_process_group(device: torch.device) -> Iterator[ProcessGroup]:
    """The group that this process belongs to; of one where nothing started it as one of several.

    Raises StudyError when the processes cannot reach each other.
    """
    if not in_process_group():
        yield ALONE
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    try:
        dist.init_process_group(backend, timeout=_LONGEST_WAIT)
    except (RuntimeError, ValueError) as error:
        raise StudyError(
            f"the processes of a group cannot join through {backend}: run it again, or set "
            f"compute.processes: 1 ({error})"
        ) from None
    yield ProcessGroup(dist.get_rank(), dist.get_world_size(), device)
    # Not after an error: the others may wait for this process, and it would wait for them.
    dist.destroy_process_group()


def launch(processes: int, work: Callable[..., None], *arguments: object) -> None:
    """Run `work(*arguments)` in that many processes of a group on this machine.

    When one of them fails or is killed, the others are stopped within seconds. Raises StudyError
    with what the first one said, or which one was killed.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    logging.disable(logging.CRITICAL)  # the line that is raised says it
    # A group that is stopped leaves semaphores, which Python clears away with a warning.
    os.environ.setdefault("PYTHONWARNINGS", "ignore::UserWarning:multiprocessing.resource_tracker")
    with tempfile.TemporaryDirectory(prefix="processes-") as logs:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id=uuid.uuid4().hex,
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(log_dir=logs),
            shutdown_timeout=5,
        )
        try:
            elastic_launch(config, work)(*arguments)
        except ChildFailedError as error:
            raise StudyError(_explain(error.failures, processes)) from None
        except SignalException:
            raise KeyboardInterrupt from None
        finally:
            logging.disable(logging.NOTSET)


def _explain(failures: dict, processes: int) -> str:
    """What ended the group. A process that was killed comes first: the others only missed it."""
    rank, failure = min(
        failures.items(), key=lambda item: (item[1].exitcode > 0, item[1].timestamp)
    )
    which = f"process {rank + 1} of {processes}"
    if failure.exitcode < 0:
        return f"{which} was killed ({failure.signal_name()}): run it again, it goes on"
    message = failure.message
    text = message["message"] if isinstance(message, dict) else message
    if text.startswith(_ERROR_NAME):
        return text.removeprefix(_ERROR_NAME)
    if tells_of_no_memory(text):
        return f"{which}: {NO_MEMORY}"
    return f"{which}: {text}"


@contextmanager
def _together() -> Iterator[None]:
    """StudyError where another process of the group is gone, unless this one's memory ran out."""
    try:
        yield
    except RuntimeError as error:
        if tells_of_no_memory(str(error)):
            raise
        raise StudyError(
            f"another process of the group ended: run it again, it goes on ({error})"
        ) from None
