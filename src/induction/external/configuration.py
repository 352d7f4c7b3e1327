"""What config.json says of a model: its family and sizes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from induction.errors import StudyError
from induction.external.families import family_of

# Quantised weights that transformers turns back into numbers without packages of their own.
_READ_AS_NUMBERS = ("fp8",)


@dataclass(frozen=True)
class ExternalSpec:
    """The sizes of a model, read off its configuration."""

    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    d_vocab: int


def spec_of(config: Any) -> ExternalSpec:
    """The sizes that a configuration of `transformers` states."""
    d_model, n_heads = config.hidden_size, config.num_attention_heads
    d_head = getattr(config, "head_dim", None) or d_model // n_heads
    return ExternalSpec(config.num_hidden_layers, n_heads, d_model, d_head, config.vocab_size)


def load_config(folder: Path) -> Any:
    """A revision's configuration. StudyError when it is damaged or of a family not known."""
    path = folder / "config.json"
    values = read_values(path)
    kind = values.get("model_type")
    try:
        family_of(kind)
        _refuse_another_model(values)
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        _refuse_unknown_layers(config)
        if hasattr(config, "head_dim"):  # null says that it is not given
            config.head_dim = spec_of(config).d_head
        return config
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from None
    except Exception as error:  # of many kinds: every family checks its own values
        raise StudyError(f"{path}: not a configuration of a model: {error}") from None


def read_values(path: Path) -> dict[str, Any]:
    """A file of settings that is the user's. StudyError when it is missing or damaged."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyError(f"{path}: missing") from None
    except (ValueError, RecursionError) as error:
        raise StudyError(f"{path}: damaged: {error}: get it anew from where it came") from None
    if not isinstance(values, dict):
        raise StudyError(f"{path}: damaged: not a table of keys: get it anew from where it came")
    return values


def _refuse_another_model(values: dict[str, Any]) -> None:
    """StudyError where the family's own code would run something else than what was trained."""
    own = values.get("auto_map")
    if isinstance(own, dict) and "AutoModelForCausalLM" in own:
        raise StudyError(
            "auto_map: the model has code of its own, which is not run: where transformers' own "
            f"{values['model_type']} is the same model, take auto_map out (in a folder of your own)"
        )
    if values.get("is_causal") is False:
        raise StudyError("is_causal: false: not a model that predicts the next token")
    quantised = values.get("quantization_config")
    method = quantised.get("quant_method") if isinstance(quantised, dict) else None
    if quantised and method not in _READ_AS_NUMBERS:
        raise StudyError(
            f"quantization_config: quantised by {method}: give unquantised weights, or a GGUF file"
        )


def _refuse_unknown_layers(config: Any) -> None:
    """StudyError where it is not said of each layer how it attends: such a model cannot run."""
    kinds, rotary = (getattr(config, key, None) or () for key in ("layer_types", "no_rope_layers"))
    if "sliding_attention" in kinds and not config.sliding_window:
        raise StudyError("layer_types: has layers of sliding_attention, but no sliding_window")
    if rotary and len(rotary) < config.num_hidden_layers:
        raise StudyError(
            f"no_rope_layers: says it of {len(rotary)} layers, but num_hidden_layers is "
            f"{config.num_hidden_layers}"
        )
