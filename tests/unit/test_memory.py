"""Batches sized to the device's memory."""

import numpy as np
import psutil
import pytest
import torch
from built_models import random_model

from induction.config import load_config
from induction.errors import StudyError
from induction.explore.patterns import attention_patterns, token_losses
from induction.model import memory
from induction.model.memory import bytes_per_example, fitting_batch
from induction.model.transformer import TransformerSpec
from induction.paths import find_study

CPU = torch.device("cpu")
LAPTOP = TransformerSpec(3, 64, 4, 256, 256, 1024, False, False, 100.0)
LARGE = TransformerSpec(6, 768, 12, 3072, 1024, 32768, False, False, 100.0)


def test_the_laptop_study_runs_as_many_at_once_as_its_caches_like():
    shape = load_config(find_study().params).model
    spec = TransformerSpec(3, shape.d_model, shape.n_heads, shape.d_mlp, 256, 1024, False, False, 9)
    for at_most in (8, 16):
        assert fitting_batch(spec, CPU, shape.n_ctx + 1, at_most, patterns=True) == at_most


def test_short_memory_gives_smaller_batches_and_then_a_line(monkeypatch):
    each = bytes_per_example(LARGE, 1024, patterns=True)
    assert each >= 4 * (LARGE.n_layers + 1) * LARGE.n_heads * 1024**2
    monkeypatch.setattr(memory, "free_memory", lambda device: 6 * each)
    assert fitting_batch(LARGE, CPU, 1024, 16, patterns=True) == 3
    assert fitting_batch(LARGE, CPU, 1024, 16, patterns=False) == 16
    assert fitting_batch(LARGE, torch.device("cuda"), 256, 16, patterns=True) > 16
    monkeypatch.setattr(memory, "free_memory", lambda device: each)
    with pytest.raises(StudyError, match=r"an example of 1024 tokens takes about .* GB"):
        fitting_batch(LARGE, CPU, 1024, 16, patterns=True)


def test_a_forward_pass_takes_no_more_than_is_reckoned():
    """Resident memory of a pass that records every pattern, against the estimate."""
    from induction.model.hooks import Record

    model, examples = random_model(n_ctx=512, d_model=64, n_heads=8, n_layers=4), 8
    tokens = torch.zeros(examples, 512, dtype=torch.int64)
    process = psutil.Process()
    with torch.no_grad():
        model.residual(tokens[:1], Record(("pattern", "z", "resid_pre")))
        before, record = process.memory_info().rss, Record(("pattern", "z", "resid_pre"))
        model.residual(tokens, record)
        kept = process.memory_info().rss - before
    each = bytes_per_example(model.spec, 512, patterns=True)
    patterns = 4 * model.spec.n_layers * model.spec.n_heads * 512**2
    assert 0.8 * examples * patterns < kept < examples * each


def test_passages_in_several_batches_give_the_same(monkeypatch):
    model = random_model()
    passages = np.random.default_rng(0).integers(1, model.spec.d_vocab, (5, 12))
    whole = token_losses(model, passages), attention_patterns(model, passages)
    each = bytes_per_example(model.spec, 12, patterns=True)
    monkeypatch.setattr(memory, "free_memory", lambda device: 4 * each)
    parts = token_losses(model, passages), attention_patterns(model, passages)
    assert np.allclose(whole[0], parts[0], atol=1e-5)
    assert np.abs(whole[1].astype(int) - parts[1].astype(int)).max() <= 1
