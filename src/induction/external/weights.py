"""One revision into memory: from safetensors alone, checked, and adapted."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from induction.config import ExternalModel
from induction.errors import StudyError, tells_of_no_memory
from induction.external.adapter import AdaptedModel
from induction.external.attention import NAME
from induction.external.configuration import load_config

# Masks and frequencies that older versions of the library saved beside the weights.
CONSTANTS = (".attn.bias", ".attention.bias", ".masked_bias", ".rotary_emb.inv_freq")


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
        if tells_of_no_memory(str(error)):
            raise
        raise StudyError(f"{folder}: not the weights of this model: {error}") from None
    for kind in ("missing", "mismatched", "unexpected"):
        found = [str(key) for key in about.get(f"{kind}_keys", ())]
        if kind == "unexpected":
            found = [key for key in found if not key.endswith(CONSTANTS)]
        if found:
            raise StudyError(f"{folder}: not the weights of this model: {kind}: {min(found)}")
    for name, value in model.named_parameters():
        if not torch.isfinite(value).all():
            raise StudyError(f"{folder}: {name} holds values that are not finite")
    _refuse_whole_numbers(folder)
    _check_unembedding(folder, model)
    return AdaptedModel(model.to(device))


def _refuse_whole_numbers(folder: Path) -> None:
    """StudyError for weights in whole numbers, which are quantised in a way that nothing says."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.offset_keys():
                kind = file.get_slice(name).get_dtype()
                if name.endswith(".weight") and kind.startswith(("I", "U")):
                    raise StudyError(f"{path}: {name} is {kind}: give unquantised weights")


def _check_unembedding(folder: Path, model: Any) -> None:
    """StudyError when two things are said of the unembedding: `transformers` then takes the files'.

    Files that hold it once more, equal to the embedding, say one thing.
    """
    embedding, unembedding = (
        layer.weight for layer in (model.get_input_embeddings(), model.get_output_embeddings())
    )
    if model.config.tie_word_embeddings and not torch.equal(embedding, unembedding):
        raise StudyError(
            f"{folder}: config.json says that embedding and unembedding are one "
            "(tie_word_embeddings: true), yet the weights hold two that differ: which one counts? "
            "In a folder of your own, say false to measure with the weights' unembedding, or take "
            "it out of the weights"
        )
