"""Weights on disk: safetensors, never pickle, with all that is needed to rebuild the model."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from induction.errors import StudyError
from induction.model.transformer import Transformer, TransformerSpec


@dataclass(frozen=True)
class Snapshot:
    """A model at one moment of its training."""

    step: int
    tokens: int
    path: Path


def snapshot_name(step: int) -> str:
    return f"step-{step:06d}.safetensors"


def save_snapshot(model: Transformer, folder: Path, step: int, tokens: int) -> None:
    """Write the weights, the specification, and the moment of training to one file."""
    about = {"spec": asdict(model.spec), "step": step, "tokens": tokens}
    # One metadata key: with several, safetensors orders them differently on every run.
    metadata = {"induction": json.dumps(about, sort_keys=True)}
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / snapshot_name(step), metadata=metadata)


def list_snapshots(folder: Path) -> list[Snapshot]:
    """The snapshots of a folder in order of training; StudyError when there are none."""
    snapshots = []
    for path in sorted(folder.glob("step-*.safetensors")):
        about = _about(path)
        snapshots.append(Snapshot(about["step"], about["tokens"], path))
    if not snapshots:
        raise StudyError(f"{folder}: no snapshots: `make study` trains the model")
    return snapshots


def load_snapshot(path: Path) -> Transformer:
    """Rebuild a model, in evaluation mode, on the CPU.

    Raises StudyError naming the file when it is damaged, or when a weight is missing, unknown or
    of a wrong shape.
    """
    about = _about(path)
    try:
        model = Transformer(TransformerSpec(**about["spec"]))
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model.load_state_dict(weights)
    except (SafetensorError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise StudyError(f"{path}: not the weights of this model: {reason}") from None
    return model.eval().requires_grad_(False)


def _about(path: Path) -> dict:
    try:
        with safe_open(path, framework="pt") as file:
            return json.loads(file.metadata()["induction"])
    except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
        raise StudyError(f"{path}: not a snapshot of this study: {error}") from None
