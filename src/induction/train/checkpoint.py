"""The state of training on disk: weights, optimisers and curve, as plain tensors without pickle."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from induction.train.loop import Step

_FILE = "training.safetensors"


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    curve: Sequence[Step],
) -> None:
    """Write what training needs to go on after the last step of `curve`, to the bit."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for number, optimizer in enumerate(optimizers):
        for index, fields in optimizer.state_dict()["state"].items():
            for field, value in fields.items():
                tensors[f"optimizer.{number}.{index}.{field}"] = torch.as_tensor(value)
    rows = [(step.step, step.tokens, step.loss, step.learning_rate) for step in curve]
    tensors["curve"] = torch.tensor(rows, dtype=torch.float64)
    save_file({name: value.contiguous() for name, value in tensors.items()}, folder / _FILE)


def load_checkpoint(
    folder: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> list[Step]:
    """Put model and optimisers back into the saved state; returns the curve so far."""
    tensors = load_file(folder / _FILE)
    model.load_state_dict(
        {key.removeprefix("model."): v for key, v in tensors.items() if key.startswith("model.")}
    )
    for number, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, torch.Tensor]] = {}
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
