"""Weights on disk: safetensors, never pickle, with all that is needed to rebuild the model."""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from induction.errors import StudyError
from induction.model.transformer import Transformer, TransformerSpec

_DTYPE = "F32"
_LARGEST = 1 << 17  # of any size in a specification
_MOST_LAYERS = 1000


@dataclass(frozen=True)
class Snapshot:
    """A model at one moment of its training."""

    step: int
    tokens: int
    path: Path


class _About(BaseModel):
    """What a snapshot says of itself, in its metadata."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    spec: TransformerSpec
    step: Annotated[int, Field(ge=0)]
    tokens: Annotated[int, Field(ge=0)]


def snapshot_name(step: int) -> str:
    return f"step-{step:06d}.safetensors"


def save_snapshot(model: Transformer, folder: Path, step: int, tokens: int) -> None:
    """Write the weights, the specification, and the moment of training to one file."""
    spec = asdict(model.spec)
    if model.spec.clamp == "none":  # what no experiment clamps is written as it always was
        del spec["clamp"]
    about = {"spec": spec, "step": step, "tokens": tokens}
    # One metadata key: with several, safetensors orders them differently on every run.
    metadata = {"induction": json.dumps(about, sort_keys=True)}
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(weights, folder / snapshot_name(step), metadata=metadata)


def list_snapshots(folder: Path) -> list[Snapshot]:
    """The snapshots of a folder in order of training; StudyError when there are none."""
    snapshots = []
    for path in sorted(folder.glob("step-*.safetensors")):
        about = _about(path)
        snapshots.append(Snapshot(about.step, about.tokens, path))
    if not snapshots:
        raise StudyError(f"{folder}: no snapshots: `make study` trains the model")
    return snapshots


def evenly_picked(snapshots: list[Snapshot], count: int) -> list[Snapshot]:
    """`count` snapshots at even distances, the last one included; all of them if there are fewer.

    The first one picked is a whole distance into training, where there is something to ablate.
    """
    total = len(snapshots)
    if count >= total:
        return snapshots
    return [snapshots[(k + 1) * total // count - 1] for k in range(count)]


def load_snapshot(path: Path) -> Transformer:
    """Rebuild a model, in evaluation mode, on the CPU.

    Raises StudyError naming the file when it is damaged, when a weight is missing, unknown, of a
    wrong shape or type, or when one is not a finite number.
    """
    spec = _about(path).spec
    try:
        _check_shapes(path, spec)  # before anything is allocated for what the file claims
        model = Transformer(spec)
        with safe_open(path, framework="pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model.load_state_dict(weights)
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise StudyError(f"{path}: not the weights of this model: {error}") from None
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise StudyError(
                f"{path}: {name} holds values that are not finite: the training diverged: lower "
                "train.learning_rate or train.muon_learning_rate"
            )
    return model.eval().requires_grad_(False)


def _check_shapes(path: Path, spec: TransformerSpec) -> None:
    """ValueError when the file's header does not list just the tensors of this specification."""
    with torch.device("meta"):  # and without a table of positions, which the file does not hold
        model = Transformer(replace(spec, n_ctx=1))
    expected = {name: list(value.shape) for name, value in model.state_dict().items()}
    with safe_open(path, framework="pt") as file:
        names = set(file.keys())
        if different := sorted(names ^ expected.keys()):
            kind = "unknown" if different[0] in names else "missing"
            raise ValueError(f"{different[0]} is {kind}")
        for name, shape in expected.items():
            header = file.get_slice(name)
            found = (header.get_dtype(), header.get_shape())
            if found != (_DTYPE, shape):
                raise ValueError(f"{name} is {found}, expected {(_DTYPE, shape)}")


def _about(path: Path) -> _About:
    """The checked metadata of a snapshot; StudyError names the file."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        about = _About.model_validate_json(metadata.get("induction", ""))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "its metadata"
        raise StudyError(
            f"{path}: not a snapshot of this study: {key}: {first['msg']}: delete {path.parent} "
            "and run `make study`"
        ) from None
    except (SafetensorError, OSError) as error:
        raise StudyError(
            f"{path}: not a snapshot of this study: {error}: delete {path.parent} and run "
            "`make study`"
        ) from None
    spec = about.spec
    sizes = (spec.n_heads, spec.d_model, spec.d_mlp, spec.n_ctx, spec.d_vocab)
    whole = all(0 < size <= _LARGEST for size in sizes) and 0 < spec.n_layers <= _MOST_LAYERS
    if not whole or spec.d_model % spec.n_heads or spec.d_model % 2 or spec.position_base <= 1:
        raise StudyError(f"{path}: not a snapshot of this study: impossible sizes: {spec}")
    return about
