"""`python -m induction.external.convert SOURCE FOLDER`: weights of the older format as safetensors.

pytorch_model.bin is a pickle, which can run code. PyTorch's reader for weights alone builds tensors
and plain containers and refuses all else; what is no tensor is refused here.
"""

import argparse
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from induction.config import ExternalModel
from induction.errors import StudyError, ends_in_one_line
from induction.external.folder import Files, stand_in
from induction.external.revisions import Revision, check_source, files_of, pin
from induction.external.store import Store
from induction.files import MANIFEST, published_folder, read_json, sha256, size_text, write_json
from induction.paths import find_study

_SHARD = re.compile(r"pytorch_model(-\d+-of-\d+)?\.bin")
_BESIDE = ("config.json", "tokenizer.json", "tokenizer_config.json")


def convert(source: str, target: Path, name: str, cache: Path) -> None:
    """Write a revision of a folder or repository as target/name, with what belongs to it.

    The manifest there holds the digests of the weights it was made from; what was made from the
    same stays. Raises StudyError when it was made from others, and for weights that are missing,
    damaged or hold more than tensors.
    """
    folder = Path(source)
    check_source(folder, source)
    commit, files = files_of(folder, source, name)
    if not (weights := _weights(files)):
        raise StudyError(f"{source}, revision {name}: has no whole pytorch_model.bin to convert")
    wanted = [*weights, *(each for each in _BESIDE if each in files)]
    place = folder / name if (folder / name).is_dir() else folder
    revision = Revision(name, 0, commit, pin(place, files, wanted))
    if (target / name).resolve() == place.resolve():
        raise StudyError(f"{target}: is the source itself: name another folder")
    if _is_there(target / name, {each: revision.files[each].sha256 for each in weights}):
        print(f"{target / name}: is there, from the same weights")
        return
    store = Store("convert", ExternalModel.model_construct(source=source), folder, cache)
    with store.files_of(revision) as here:
        made_from = {each: sha256(here / each) for each in weights}
        about = {"source": source, "commit": commit, "converted": made_from}
        with published_folder(target / name, cache.parent, about) as made:
            _write(here, weights, made)
            for each in wanted[len(weights) :]:
                shutil.copyfile(here / each, made / each)
    print(f"{target / name}: {size_text(sum(files[each][0] for each in weights))} converted")


def _weights(files: Files) -> list[str]:
    """The files of weights of the older format; none where one of them is missing."""
    found = sorted(name for name in files if _SHARD.fullmatch(name))
    if "pytorch_model.bin" in found:
        return ["pytorch_model.bin"]
    return found if found and found[0].endswith(f"-of-{len(found):05d}.bin") else []


def _is_there(target: Path, weights: dict[str, str | None]) -> bool:
    """Whether a revision was converted; StudyError when that was from other weights."""
    if not target.exists():
        return False
    path = target / MANIFEST
    there = read_json(path).get("converted") if path.is_file() else None
    if there is None:
        raise StudyError(f"{target}: is there, and was not made by this: name another folder")
    if any(digest not in (None, there.get(k)) for k, digest in weights.items()):
        raise StudyError(
            f"{target}: is there, and not made from these weights: delete it to convert anew, or "
            "name another folder"
        )
    return True


def _write(folder: Path, weights: list[str], target: Path) -> None:
    places, size = {}, 0
    for name in weights:
        tensors = read_tensors(folder / name)
        written = name.replace("pytorch_model", "model").replace(".bin", ".safetensors")
        save_file(tensors, target / written, metadata={"format": "pt"})
        places |= dict.fromkeys(tensors, written)
        size += sum(tensor.nbytes for tensor in tensors.values())
    if weights != ["pytorch_model.bin"]:
        index = {"metadata": {"total_size": size}, "weight_map": places}
        write_json(target / "model.safetensors.index.json", index)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of the older format, each with memory of its own; no code is run.

    Names lose what a wrapper put in front of all of them. Raises StudyError when the file is
    damaged or holds anything else.
    """
    if other := stand_in(path):
        raise StudyError(f"{path}: {other}")
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of many kinds, by what is wrong
        if type(error).__name__ != "UnpicklingError":
            raise StudyError(f"{path}: damaged: {error}") from None
        what = re.search(r"GLOBAL (\S+)", str(error))
        raise StudyError(
            f"{path}: holds more than tensors{f' ({what[1]})' if what else ''}, which can run "
            "code: not read"
        ) from None
    if not isinstance(held, dict) or not held:
        raise StudyError(f"{path}: holds no tensors by name")
    seen, found = set(), {}
    for name, value in held.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise StudyError(f"{path}: {name}: not a tensor: not the weights of a model alone")
        if value.layout != torch.strided:
            raise StudyError(f"{path}: {name}: a sparse tensor: write it as a dense one")
        if not value.is_contiguous() or value.untyped_storage().data_ptr() in seen:
            value = value.clone(memory_format=torch.contiguous_format)
        seen.add(value.untyped_storage().data_ptr())
        found[name] = value
    for wrapper in ("module.", "_orig_mod."):  # DistributedDataParallel, torch.compile
        if all(name.startswith(wrapper) for name in found):
            found = {name.removeprefix(wrapper): value for name, value in found.items()}
    return found


def _revisions(source: str, named: list[str]) -> Iterator[str]:
    """Those that are named; else all of a folder that are of the older format; else `main`."""
    folder = Path(source)
    if named or not folder.is_dir():
        yield from named or ["main"]
        return
    below = [path.name for path in sorted(folder.iterdir()) if any(path.glob("pytorch_model*.bin"))]
    yield from below or ["main"]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m induction.external.convert", description="Older weights as safetensors."
    )
    parser.add_argument("source", help="a folder, or a repository of a model hub (owner/name)")
    parser.add_argument("folder", type=Path, help="gets a folder for each revision")
    parser.add_argument(
        *("--revision", "-r"),
        action="append",
        default=[],
        help="of a repository: main; of a folder: all that need it; may be given several times",
    )
    options = parser.parse_args()
    with ends_in_one_line("convert"):
        cache = find_study().hub / options.source.replace("/", "--")
        for name in _revisions(options.source, options.revision):
            convert(options.source, options.folder, name, cache)


if __name__ == "__main__":
    main()
