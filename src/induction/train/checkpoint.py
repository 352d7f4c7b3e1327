"""The state of training on disk: weights, optimisers and curve, as plain tensors without pickle."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import load, load_file, save, save_file
from torch import Tensor, nn

from induction.train.loop import Step
from induction.train.process_group import ProcessGroup

_FILE = "training.safetensors"


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    curve: Sequence[Step],
) -> None:
    """Write what training needs to go on after the last step of `curve`, to the bit."""
    save_file(_packed(model, optimizers, curve), folder / _FILE)


def load_checkpoint(
    folder: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> list[Step]:
    """Put model and optimisers back into the saved state; returns the curve so far."""
    return _unpack(load_file(folder / _FILE), model, optimizers)


def share_state(
    processes: ProcessGroup,
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    curve: Sequence[Step],
) -> list[Step]:
    """Put all processes of a group into the state of its first one; returns that one's curve."""
    if processes.size == 1 or not (
        content := processes.share(_as_bytes(processes, model, optimizers, curve))
    ):
        return list(curve)
    return list(curve) if processes.first else _unpack(load(content), model, optimizers)


def _as_bytes(
    processes: ProcessGroup,
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    curve: Sequence[Step],
) -> bytes:
    """Nothing at the beginning: the initial weights are the same in all processes."""
    return save(_packed(model, optimizers, curve)) if processes.first and curve else b""


def _packed(
    model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], curve: Sequence[Step]
) -> dict[str, Tensor]:
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, fields in optimizer.state_dict()["state"].items():
            for field, value in fields.items():
                tensors[f"optimizer.{number}.{index}.{field}"] = torch.as_tensor(value)
    rows = [(step.step, step.tokens, step.loss, step.learning_rate) for step in curve]
    tensors["curve"] = torch.tensor(rows, dtype=torch.float64)
    return {name: value.contiguous() for name, value in tensors.items()}


def _unpack(
    tensors: Mapping[str, Tensor],
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
) -> list[Step]:
    model.load_state_dict(
        {key.removeprefix("model."): v for key, v in tensors.items() if key.startswith("model.")}
    )
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            kind, *rest = key.split(".")
            if kind == "optimizer" and rest[0] == str(number):
                state.setdefault(int(rest[1]), {})[rest[2]] = value
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
    return [
        Step(int(step), int(tokens), loss, rate)
        for step, tokens, loss, rate in tensors["curve"].tolist()
    ]
