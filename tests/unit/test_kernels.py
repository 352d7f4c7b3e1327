"""The fast operations against the plain ones of PyTorch, in float64 where these are the truth."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from induction.config import load_config
from induction.model import kernels
from induction.model.compute import mixed_precision, set_up_torch
from induction.model.kernels import (
    causal_attention,
    causal_patterns,
    cross_entropies,
    linear,
    mean_cross_entropy,
)
from induction.paths import find_study
from induction.train.muon import Muon

CLOSE = 2e-5  # of the largest number


@pytest.fixture(params=["onednn", "pytorch"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever product this processor chooses."""
    available = torch.backends.mkldnn.is_available()
    monkeypatch.setattr(kernels, "_ONEDNN", request.param == "onednn" and available)


def random(*shape: int, scale: float = 1.0) -> Tensor:
    return scale * torch.randn(*shape)


def gradients(work, *inputs: Tensor) -> list[Tensor]:
    """What `work` gives and, for fixed gradients of that, the gradients of its inputs."""
    leaves = [x.detach().requires_grad_() for x in inputs]
    result = work(*leaves)
    weights = torch.linspace(-1, 1, result.numel(), dtype=result.dtype).view(result.shape)
    return [result.detach(), *torch.autograd.grad(result, leaves, weights)]


def assert_alike(fast, plain, *inputs: Tensor, tolerance: float = CLOSE) -> None:
    found = gradients(fast, *inputs)
    wanted = gradients(plain, *(x.double() for x in inputs))
    for ours, truth in zip(found, wanted, strict=True):
        assert ours.dtype == torch.float32
        assert (ours - truth).abs().max() <= tolerance * max(1.0, float(truth.abs().max()))


def plain_patterns(q: Tensor, k: Tensor) -> Tensor:
    scores = q @ k.mT / q.shape[-1] ** 0.5
    future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return scores.masked_fill(future, -torch.inf).softmax(-1)


def plain_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return plain_patterns(q, k) @ v


@settings(max_examples=40, deadline=None)
@given(
    examples=st.integers(1, 3),
    heads=st.integers(1, 3),
    positions=st.sampled_from([1, 2, 7, 31, 32, 33, 64, 65, 161]),
    channels=st.sampled_from([1, 2, 5, 8, 16, 20, 64]),
    scale=st.sampled_from([0.0, 0.1, 1.0, 30.0]),
)
def test_attention_is_the_plain_one(examples, heads, positions, channels, scale):
    torch.manual_seed(0)
    q, k, v = (
        random(examples, positions, heads, channels, scale=size).transpose(1, 2)
        for size in (scale, 1.0, 1.0)
    )
    tolerance = CLOSE * max(1.0, scale)
    assert_alike(causal_attention, plain_attention, q, k, v, tolerance=tolerance)
    patterns, truth = causal_patterns(q, k), plain_patterns(q.double(), k.double())
    assert patterns.dtype == torch.float32
    assert (patterns - truth).abs().max() <= tolerance
    assert not patterns.triu(1).any()


@pytest.mark.parametrize("level", [-400.0, -80.0, -60.0, 60.0, 69.0, 80.0, 88.5, 400.0])
def test_scores_that_float32_cannot_take_the_exponential_of(level):
    """All of a query's scores stand near `level`, but for a few queries in between."""
    torch.manual_seed(0)
    q, k, v = (random(1, 2, 40, 16) for _ in range(3))
    q[..., 0], k[..., 0] = level, 4.0
    q[:, :, ::5, 0] = 0.0
    assert_alike(causal_attention, plain_attention, q, k, v, tolerance=1e-3)
    truth = plain_patterns(q.double(), k.double())
    assert (causal_patterns(q, k) - truth).abs().max() <= 1e-3


def test_patterns_can_be_trained_through():
    torch.manual_seed(0)
    q, k, _ = random(3, 1, 2, 9, 8).unbind()
    assert_alike(causal_patterns, plain_patterns, q, k)


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_attention_on_several_threads_gives_the_same_bits(threads):
    torch.manual_seed(0)
    q, k, v = (random(5, 40, 2, 8).transpose(1, 2) for _ in range(3))

    def everything() -> list[Tensor]:
        return [*gradients(causal_attention, q, k, v), causal_patterns(q, k)]

    alone, before = everything(), torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        together = everything()
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))


def test_attention_takes_any_layout():
    torch.manual_seed(0)
    q, k, v = random(3, 2, 4, 30, 16).unbind()
    strided = [x.transpose(2, 3).contiguous().transpose(2, 3) for x in (q, k, v)]
    for ours, theirs in zip(
        gradients(causal_attention, q, k, v), gradients(causal_attention, *strided), strict=True
    ):
        assert torch.equal(ours, theirs)


def test_attention_looks_at_no_later_key():
    torch.manual_seed(0)
    q, k, v = random(3, 1, 2, 24, 8).unbind()
    before, pattern = causal_attention(q, k, v), causal_patterns(q, k)
    k[:, :, 13:] = v[:, :, 13:] = 1e4
    after = causal_attention(q, k, v)
    assert torch.equal(before[:, :, :13], after[:, :, :13])
    assert torch.equal(pattern[:, :, :13], causal_patterns(q, k)[:, :, :13])


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (2, 300, 64, 192), (2048, 64, 64)])
def test_linear_is_the_plain_product(either, shape):
    torch.manual_seed(0)
    *rows, inner, outer = shape
    assert_alike(linear, torch.matmul, random(*rows, inner), random(inner, outer))


@pytest.mark.parametrize(("rows", "vocabulary"), [(1, 2), (5, 3), (255, 400), (600, 1024)])
@pytest.mark.parametrize("scale", [0.0, 1.0, 100.0])
def test_cross_entropy_is_the_plain_one(either, rows, vocabulary, scale):
    torch.manual_seed(0)
    x, W = random(rows, 16), random(16, vocabulary, scale=scale)
    targets = torch.randint(vocabulary, (rows,))

    def fast(x: Tensor, W: Tensor) -> Tensor:
        return mean_cross_entropy(x, W, targets)

    def plain(x: Tensor, W: Tensor) -> Tensor:
        return F.cross_entropy(x @ W, targets)

    assert_alike(fast, plain, x, W, tolerance=CLOSE * max(1.0, scale))
    each = cross_entropies(x, W, targets)
    truth = F.cross_entropy((x @ W).double(), targets, reduction="none")
    assert (each - truth).abs().max() <= CLOSE * max(1.0, float(truth.max()))


def test_other_precisions_take_the_plain_way():
    torch.manual_seed(0)
    q, k, v = random(3, 1, 1, 9, 8).double().unbind()
    assert torch.allclose(causal_attention(q, k, v), plain_attention(q, k, v), rtol=1e-12)
    assert torch.allclose(causal_patterns(q, k), plain_patterns(q, k), rtol=1e-12)
    x, W, targets = q[0, 0], k[0, 0].mT, torch.arange(9)
    plain = F.cross_entropy(x @ W, targets, reduction="none")
    assert torch.equal(linear(x, W), x @ W)
    assert torch.allclose(cross_entropies(x, W, targets), plain, rtol=1e-12)
    assert torch.allclose(mean_cross_entropy(x, W, targets), plain.mean(), rtol=1e-12)


@pytest.mark.parametrize("at_once", [1, 5, 13, 1000])
def test_cross_entropy_elsewhere_goes_piece_by_piece(at_once, monkeypatch):
    """What a GPU runs, here on a CPU in float64."""
    torch.manual_seed(0)
    monkeypatch.setattr(kernels, "_LOGITS", at_once * 40)
    x, W = random(13, 8).double(), random(8, 40).double()
    targets = torch.randint(40, (13,))
    found = gradients(lambda x, W: mean_cross_entropy(x, W, targets), x, W)
    wanted = gradients(lambda x, W: F.cross_entropy(x @ W, targets), x, W)
    for ours, truth in zip(found, wanted, strict=True):
        assert torch.allclose(ours, truth, rtol=1e-12, atol=1e-14)


def test_mixed_precision_multiplies_in_bfloat16_and_adds_up_in_float32():
    torch.manual_seed(0)
    x, W = random(40, 32), random(32, 50, scale=0.3)
    targets = torch.randint(50, (40,))

    def mixed(x: Tensor, W: Tensor) -> Tensor:
        with mixed_precision(x.device, "bfloat16"):
            assert linear(x, W).dtype == torch.bfloat16
            return mean_cross_entropy(x, W, targets)

    found = gradients(mixed, x, W)
    wanted = gradients(lambda x, W: F.cross_entropy(x @ W, targets), x.double(), W.double())
    for ours, truth in zip(found, wanted, strict=True):
        assert ours.dtype == torch.float32
        assert (ours - truth).norm() <= 0.02 * truth.norm()
        assert not torch.equal(ours, truth.float())


def test_the_same_input_gives_the_same_bits():
    torch.manual_seed(0)
    q, k, v = random(3, 4, 2, 100, 16).unbind()
    runs = [gradients(causal_attention, q, k, v) for _ in range(3)]
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(runs[0], run, strict=True))


def test_a_target_of_no_share_has_its_true_loss():
    x, W = torch.tensor([[1.0], [0.0]]), torch.tensor([[300.0, 0.0]])
    targets = torch.tensor([1, 0])
    assert mean_cross_entropy(x, W, targets) == pytest.approx((300 + math.log(2)) / 2)


def test_a_gpu_is_asked_for_the_same_bits_too(monkeypatch):
    """With warnings alone, the gradients of PyTorch's attention on a GPU have any order of sums."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "set_device", lambda number: None)
    given = load_config(find_study().params).compute.model_copy(update={"device": "cuda"})
    assert set_up_torch(given) == torch.device("cuda", 0)
    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_muon_is_that_of_pytorch(decay):
    """To bfloat16's precision, in which that one orthogonalises."""
    torch.manual_seed(0)
    shapes = [(16, 16), (16, 48), (48, 16), (16, 16)]
    ours = [torch.nn.Parameter(random(*shape)) for shape in shapes]
    theirs = [torch.nn.Parameter(weight.detach().clone()) for weight in ours]
    optimizers = [
        kind(weights, lr=0.02, momentum=0.9, weight_decay=decay)
        for kind, weights in ((Muon, ours), (torch.optim.Muon, theirs))
    ]
    before = [weight.detach().clone() for weight in ours]
    for _ in range(5):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = random(*a.shape)
            b.grad = a.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
    for start, a, b in zip(before, ours, theirs, strict=True):
        assert (a - b).norm() < 0.02 * (b - start).norm()
