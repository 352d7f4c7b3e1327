"""How much disk a run will take, and whether it is there: asked before the run starts.

Snapshots are counted to the byte, since they are most of it; the rest is estimated from the sizes
of the laptop study. Weights of external models are not among it: their stages ask for room
themselves, once they know the sizes.
"""

import os
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from dvc.config import Config
from dvc_objects.fs.system import reflink

from induction.config import StudyConfig
from induction.data.fetch import own_files, read_requirements
from induction.errors import StudyError
from induction.files import size_text
from induction.paths import StudyPaths
from induction.train.schedule import snapshot_steps
from induction.train.settings import train_settings

_FLOAT = 4
_WHEEL_BYTES = 550_000
_TOKENS_PER_WHEEL_BYTE = 0.8  # wheels are compressed text
_TOKENS_PER_TEXT_BYTE = 0.5
_TOKEN_BYTES = 2
_HEAD_ROW_BYTES, _PAIR_ROW_BYTES = 60, 30
_CURVE_ROW_BYTES = 35
_MEAN_ROW_BYTES, _ANSWER_ROW_BYTES = 8, 4  # of behaviours
_SAMPLE_ROW_BYTES = 2  # of steering
_HEADS_OF_OTHERS = 16  # in a layer; known only once a model is there
_FOLDER_BYTES = 20_000  # manifests, headers of small tables
_REPORT_BYTES = 6_000_000  # with the scripts of its charts
_SMALL_STAGE_BYTES = 500_000
_LEFT_OUT_BYTES = 500  # the manifest of an empty folder
# Weights and optimisers, twice while one state takes the place of another.
_STATE_PER_PARAMETER = 2 * 3 * _FLOAT


def require_room(paths: StudyPaths, config: StudyConfig, stages: Collection[str], jobs: int) -> str:
    """What a run of these stages adds to the disk, in words, if there is room for it.

    Raises StudyError when there is less free, in the checkout or where DVC's cache is.
    """
    outputs = sum(stage_bytes(paths, config, stage) for stage in stages)
    largest = max(parameter_count(config, name) for name in config.models)
    working = outputs + jobs * largest * _STATE_PER_PARAMETER + _wheels_kept(paths, config, stages)
    cache, linked = _cache(paths.root)
    stored = 0 if linked else outputs
    if _device(cache) == _device(paths.root):
        demands = [(paths.root, working + stored)]
    else:
        demands = [(paths.root, working), (cache, stored)]
    for place, needed in demands:
        free = shutil.disk_usage(_existing(place)).free
        if free < needed:
            raise StudyError(
                f"{place}: the run takes about {size_text(needed)} of disk, {size_text(free)} are "
                "free: make room, lower snapshots.count, or move DVC's cache (`dvc cache dir`)"
            )
    return f"about {size_text(sum(needed for _, needed in demands))} of disk"


def stage_bytes(paths: StudyPaths, config: StudyConfig, stage: str) -> int:
    """Estimated size of a stage's outputs."""
    kind, _, model = stage.partition("@")
    if kind == "fetch":
        return sum(_corpus_bytes(paths, config))
    if kind == "prepare":
        wheels, texts, datasets = _corpus_bytes(paths, config)
        tokens = wheels * _TOKENS_PER_WHEEL_BYTE + (texts + datasets) * _TOKENS_PER_TEXT_BYTE
        return int(tokens * _TOKEN_BYTES) + _FOLDER_BYTES
    if kind == "train":
        return _snapshots(config, model) * parameter_count(config, model) * _FLOAT + int(
            _steps(config, model) * _CURVE_ROW_BYTES + _FOLDER_BYTES
        )
    if kind in ("measure", "measure-external"):
        return _measurements(config, model)
    if kind in ("ablate", "ablate-external"):
        rows = (config.ablation.snapshots + 3) * _heads(config, model)  # in four ways at the end
        return rows * _HEAD_ROW_BYTES + _FOLDER_BYTES // 4
    if kind in ("behave", "steer") and config.models[model].experiment:
        return _LEFT_OUT_BYTES
    if kind in ("behave", "behave-external"):
        return _behaviours(config, model)
    if kind in ("steer", "steer-external"):
        return _steering(config)
    if kind == "explore":
        return sum(_explored(config, name) for name in config.usual.models)
    return _REPORT_BYTES if kind == "report" else _SMALL_STAGE_BYTES


def parameter_count(config: StudyConfig, model: str) -> int:
    """How many numbers a snapshot of a model holds."""
    shape, entry = config.model, config.models[model]
    d = shape.d_model
    layer = 4 * d * d + 2 * d
    layer += shape.n_heads * (entry.smeared_keys + entry.smeared_values)
    if not entry.attn_only:
        layer += 2 * d * shape.d_mlp + 2 * d
    return 2 * config.tokenizer.d_vocab * d + 2 * d + entry.n_layers * layer


def _steps(config: StudyConfig, model: str) -> int:
    return config.models[model].tokens // train_settings(config, model).batch_tokens


def _snapshots(config: StudyConfig, model: str) -> int:
    if model in config.external:
        return len(config.external[model].steps)
    steps = _steps(config, model)
    return len(snapshot_steps(steps, train_settings(config, model).batch_tokens, config.snapshots))


def _heads(config: StudyConfig, model: str) -> int:
    if model in config.external:
        return config.external[model].n_layers * _HEADS_OF_OTHERS
    return config.models[model].n_layers * config.model.n_heads


def _measurements(config: StudyConfig, model: str) -> int:
    settings, heads = config.evaluation, _heads(config, model)
    of_examples = settings.examples * (settings.tokens_per_example + 2) + config.model.n_ctx
    of_heads = heads * settings.probe_sequences
    rows = heads * _HEAD_ROW_BYTES + heads * heads // 2 * _PAIR_ROW_BYTES
    every = (of_examples + of_heads) * _FLOAT + rows
    return _snapshots(config, model) * every + _FOLDER_BYTES


def _behaviours(config: StudyConfig, model: str) -> int:
    """Of ten variants, and three for each number of shots."""
    settings = config.behaviours
    variants = 10 + 3 * len(settings.shots)
    conditions = 3 + 2 * settings.random_draws
    of_snapshot = variants * (conditions + _heads(config, model))
    of_prompts = variants * conditions * settings.examples
    rows = settings.snapshots * of_snapshot * _MEAN_ROW_BYTES + of_prompts * _ANSWER_ROW_BYTES
    return rows + _FOLDER_BYTES // 2


def _steering(config: StudyConfig) -> int:
    """As if it had induction heads: some five measures of every sample under every scaling."""
    settings = config.steering
    conditions = (1 + settings.random_draws) * len(settings.scales)
    samples = 5 * config.behaviours.examples + settings.prompts + settings.windows
    return conditions * samples * _SAMPLE_ROW_BYTES + _FOLDER_BYTES // 20


def _explored(config: StudyConfig, model: str) -> int:
    """A byte for each pair of tokens that a head can look at."""
    settings = config.explorer
    pairs = settings.tokens * (settings.tokens + 1) // 2
    patterns = settings.snapshots * settings.passages * _heads(config, model) * pairs
    losses = _snapshots(config, model) * settings.passages * settings.tokens * _FLOAT
    return patterns + losses + _FOLDER_BYTES // 4


def _corpus_bytes(paths: StudyPaths, config: StudyConfig) -> tuple[int, int, int]:
    """Bytes of the wheels, the user's own files and datasets. StudyError as in the stage fetch."""
    lists = paths.wheel_lists(prose=config.corpus.prose) if config.corpus.wheels else []
    wheels = len(read_requirements(*lists))
    texts = own_files(config.corpus.files, paths.root)
    own = sum((paths.root / text).stat().st_size for text in texts)
    datasets = sum(dataset.characters for dataset in config.corpus.datasets.values())
    return wheels * _WHEEL_BYTES, own, datasets


def _wheels_kept(paths: StudyPaths, config: StudyConfig, stages: Collection[str]) -> int:
    """What fetch keeps beside its output, to download no wheel twice."""
    kept = (paths.scratch / "wheels").is_dir()
    return 0 if kept or "fetch" not in stages else _corpus_bytes(paths, config)[0]


def _cache(root: Path) -> tuple[Path, bool]:
    """Where DVC's cache is, and whether outputs and cache share their bytes on disk.

    Only the first kind of link counts: DVC leaves a copy where that kind does not work.
    """
    settings = Config(str(root / ".dvc"))["cache"]
    cache = Path(settings.get("dir") or root / ".dvc" / "cache")
    kind = (settings.get("type") or ["reflink"])[0]
    if kind == "reflink":
        return cache, _device(cache) == _device(root) and _can_reflink(_existing(cache))
    return cache, kind == "symlink" or (kind == "hardlink" and _device(cache) == _device(root))


def _can_reflink(folder: Path) -> bool:
    """Whether this file system lets two files share their bytes. Asked by trying."""
    with tempfile.TemporaryDirectory(prefix="reflink-", dir=folder) as scratch:
        source = Path(scratch, "a")
        source.write_bytes(b"a")
        try:
            reflink(str(source), str(Path(scratch, "b")))
        except OSError:
            return False
        return True


def _device(path: Path) -> int:
    return os.stat(_existing(path)).st_dev


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return next(place for place in (path, *path.parents) if place.exists())
