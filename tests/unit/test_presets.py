"""The presets are what they are said to be."""

from pathlib import Path

import pytest

from induction.config import StudyConfig, load_config
from induction.runner.disk import parameter_count
from induction.train.schedule import snapshot_steps

PRESETS = Path(__file__).parents[2] / "params"


@pytest.fixture(scope="module")
def gpu() -> StudyConfig:
    return load_config(PRESETS / "gpu.yaml")


def test_the_gpu_preset_is_the_papers_small_series(gpu):
    series = {(m.n_layers, m.attn_only, m.smeared_keys) for m in gpu.models.values()}
    plain = {(layers, attn_only, False) for layers in range(1, 7) for attn_only in (True, False)}
    assert series == plain | {(1, True, True), (2, True, True)}
    assert (gpu.model.d_model, gpu.model.n_heads) == (768, 12)
    assert gpu.model.n_ctx >= 1024
    assert gpu.tokenizer.d_vocab >= 2**15
    assert gpu.compute.device == "cuda"
    assert gpu.compute.dtype == "bfloat16"


def test_every_model_of_it_has_200_snapshots(gpu):
    for model in gpu.models.values():
        steps = model.tokens // gpu.train.batch_tokens
        assert len(snapshot_steps(steps, gpu.train.batch_tokens, gpu.snapshots)) == 200


def test_its_text_is_a_fixed_revision_and_enough(gpu):
    (text,) = gpu.corpus.datasets.values()
    assert text.revision is not None
    assert len(text.revision) == 40
    # English comes to over four characters a token with a vocabulary of this size.
    assert text.characters / 5 > max(model.tokens for model in gpu.models.values())


def test_its_batches_can_be_shared_by_up_to_64_gpus(gpu):
    windows = gpu.train.batch_tokens // gpu.model.n_ctx
    assert [count for count in (1, 2, 4, 8, 16, 32, 64) if windows % count] == []


def test_its_largest_model_is_of_gpt2s_size(gpu):
    largest = max(parameter_count(gpu, name) for name in gpu.models)
    assert 80e6 < largest < 120e6
