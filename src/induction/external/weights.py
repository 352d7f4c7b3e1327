"""Revisions into memory, one at a time: downloaded where they are not here, checked, adapted."""

import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import logging

from induction.config import ExternalModel
from induction.disk import size_text
from induction.errors import StudyError
from induction.external import hub
from induction.external.adapter import AdaptedModel
from induction.external.attention import NAME
from induction.external.families import family_of
from induction.external.revisions import Revision
from induction.files import read_json, sha256

DELETE_VARIABLE = "INDUCTION_DELETE_WEIGHTS"


@dataclass(frozen=True)
class Store:
    """Where the files of a model's revisions are: below `folder` if that is one, else in `cache`,
    downloaded from the hub's repository `entry.source`.

    name: of the model in params.yaml, for what is said of it.
    """

    name: str
    entry: ExternalModel
    folder: Path
    cache: Path

    def announce(self, revisions: list[Revision]) -> None:
        """Say how much is still to download; StudyError when there is no room for it."""
        if self.folder.is_dir():
            return
        missing = [self._missing(revision) for revision in revisions]
        most = max(missing) if _deletes() else sum(missing)
        print(
            f"{self.name}: {len(revisions)} revisions of {self.entry.source}, "
            f"{size_text(sum(revision.size for revision in revisions))}; to download: "
            f"{size_text(sum(missing))}"
        )
        self.cache.mkdir(parents=True, exist_ok=True)
        if (free := shutil.disk_usage(self.cache).free) < most:
            raise StudyError(
                f"external.{self.name}: {size_text(most)} to download, {size_text(free)} free in "
                f"{self.cache}: make room, name fewer revisions, or set {DELETE_VARIABLE}=1 to "
                "delete each after use"
            )

    def files_of(self, revision: Revision, names: Collection[str] = ()) -> Path:
        """The folder with a revision's files, or those that are named, each as it was pinned.

        Raises StudyError when one is missing, differs, or cannot be downloaded.
        """
        if revision.commit is None:
            folder = self.folder / revision.name
        else:
            if not names and (missing := self._missing(revision)):
                print(f"{self.name}: {revision.name}: downloading {size_text(missing)}")
            folder = hub.download(
                self.cache, self.entry.source, revision.commit, list(names or revision.files)
            )
        for name in names or revision.files:
            path, pinned = folder / name, revision.files[name]
            if not path.is_file() or path.stat().st_size != pinned.size:
                raise StudyError(self._changed(path))
            if pinned.sha256 and sha256(path) != pinned.sha256:
                raise StudyError(self._changed(path))
        return folder

    def read(self, revision: Revision) -> None:
        """Once a revision is in memory: delete what was downloaded of it, if that is wanted."""
        if revision.commit is not None and _deletes():
            hub.delete(self.cache, revision.commit)

    def _missing(self, revision: Revision) -> int:
        """Bytes of a revision that are still to download."""
        return sum(
            file.size
            for name, file in revision.files.items()
            if not hub.is_here(self.cache, self.entry.source, revision.commit or "", name)
        )

    def _changed(self, path: Path) -> str:
        return (
            f"{path}: missing, or not the file that was pinned: put it back, or pin anew: "
            f"dvc repro --force revisions@{self.name}"
        )


def load_config(folder: Path) -> Any:
    """A revision's configuration. StudyError when it is damaged or of a family not known."""
    path = folder / "config.json"
    values = read_json(path)
    kind = values.get("model_type") if isinstance(values, dict) else None
    try:
        family_of(kind)
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from None
    except Exception as error:  # of many kinds: every family checks its own values
        raise StudyError(f"{path}: not a configuration of a model: {error}") from None


def load_model(folder: Path, entry: ExternalModel, device: torch.device) -> AdaptedModel:
    """A revision from safetensors alone, on the device, in evaluation mode.

    Raises StudyError naming the folder when the weights are damaged, missing, unknown, of other
    shapes than the configuration says, or not finite.
    """
    config = load_config(folder)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder,
            config=config,
            attn_implementation=NAME,
            dtype=getattr(torch, entry.dtype),
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
        model, about = loaded
    except (SafetensorError, ImportError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise StudyError(f"{folder}: not the weights of this model: {error}") from None
    for problem in ("missing_keys", "mismatched_keys", "unexpected_keys"):
        if found := about.get(problem):
            kind = problem.removesuffix("_keys")
            raise StudyError(
                f"{folder}: not the weights of this model: {kind}: {min(map(str, found))}"
            )
    for name, value in model.named_parameters():
        if not torch.isfinite(value).all():
            raise StudyError(f"{folder}: {name} holds values that are not finite")
    return AdaptedModel(model.to(device))


def _deletes() -> bool:
    return os.environ.get(DELETE_VARIABLE, "") not in ("", "0")
