"""One contender of `make bench` in a process of its own: `python contenders.py NAME`.

For every line on standard input it does its work once and prints seconds and a number to check the
result by, so that contenders can take turns without starting anew. Shapes are the laptop study's,
weights and tokens random: speed does not depend on them.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

# Before PyTorch, whose waiting threads it tells how long to wait.
import induction  # noqa: F401  # isort: skip
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from induction.ablate.evaluator import Ablation, Kind, ablated_losses
from induction.config import load_config
from induction.evaluation.evaluation_set import EvaluationSet, make_evaluation
from induction.measure import ARRAYS, CIRCUITS, HEADS, PAIRS
from induction.model.compute import set_up_torch
from induction.model.kernels import mean_cross_entropy
from induction.model.transformer import Transformer, TransformerSpec
from induction.paths import find_study
from induction.train.optimizer import make_optimizers

N_LAYERS, D_MODEL, N_HEADS, D_MLP, N_CTX, D_VOCAB = 2, 64, 4, 256, 256, 1024
BATCH = 8
STEPS = 25  # of training in one turn
ABLATED_EXAMPLES = 64
KINDS: tuple[Kind, ...] = ("zero", "pattern_preserving")
Work = Callable[[], float]
CONFIG = load_config(find_study().params)


@dataclass(frozen=True)
class Shape:
    attn_only: bool

    @property
    def spec(self) -> TransformerSpec:
        return TransformerSpec(
            N_LAYERS, D_MODEL, N_HEADS, D_MLP, N_CTX, D_VOCAB, self.attn_only, False, 100.0
        )


def random_model(shape: Shape) -> Transformer:
    """Every weight random, so that heads look and write somewhere."""
    model = Transformer(shape.spec)
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2:
                weight.normal_(0.0, 0.15, generator=random)
    return model


def evaluation_set(examples: int) -> EvaluationSet:
    random = torch.Generator().manual_seed(0)
    tokens = torch.randint(1, D_VOCAB, (400_000,), generator=random).to(torch.int32).numpy()
    tokens[::2000] = 0  # where documents start
    counts = torch.arange(D_VOCAB).numpy()
    settings = CONFIG.evaluation.model_copy(update={"examples": examples})
    return make_evaluation(tokens.astype("uint16"), counts, 0, N_CTX, settings)


def batch() -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randint(D_VOCAB, (BATCH, N_CTX + 1), generator=random)


# Training


def ours_training(shape: Shape, optimizer: str = "adamw") -> Work:
    model = random_model(shape)
    optimizers = make_optimizers(model, optimizer, CONFIG.train)
    inputs, targets = batch()[:, :-1], batch()[:, 1:].flatten()

    def loss() -> Tensor:
        return mean_cross_entropy(model.residual(inputs).flatten(0, 1), model.W_U, targets)

    return _steps(loss, optimizers)


class PlainBlock(nn.Module):
    """As nanoGPT sets it up: one projection for q, k and v, PyTorch's own attention, no biases."""

    def __init__(self, spec: TransformerSpec):
        super().__init__()
        d = spec.d_model
        self.n_heads = spec.n_heads
        self.ln1, self.qkv = nn.LayerNorm(d), nn.Linear(d, 3 * d, bias=False)
        self.out = nn.Linear(d, d, bias=False)
        self.mlp = None
        if not spec.attn_only:
            self.mlp = nn.Sequential(
                nn.LayerNorm(d),
                nn.Linear(d, spec.d_mlp, bias=False),
                nn.GELU(),
                nn.Linear(spec.d_mlp, d, bias=False),
            )

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)
            for part in self.qkv(self.ln1(x)).chunk(3, dim=-1)
        )
        z = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(z.transpose(1, 2).flatten(2))
        return x if self.mlp is None else x + self.mlp(x)


class Plain(nn.Module):
    def __init__(self, spec: TransformerSpec):
        super().__init__()
        d = spec.d_model
        self.embed, self.position = nn.Embedding(spec.d_vocab, d), nn.Embedding(spec.n_ctx, d)
        self.blocks = nn.Sequential(*(PlainBlock(spec) for _ in range(spec.n_layers)))
        self.ln, self.unembed = nn.LayerNorm(d), nn.Linear(d, spec.d_vocab, bias=False)

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        positions = torch.arange(inputs.shape[1], device=inputs.device)
        x = self.blocks(self.embed(inputs) + self.position(positions))
        return F.cross_entropy(self.unembed(self.ln(x)).flatten(0, 1), targets)


def plain_training(shape: Shape, *, compiled: bool) -> Work:
    model: nn.Module = Plain(shape.spec)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    run = torch.compile(model) if compiled else model
    inputs, targets = batch()[:, :-1].contiguous(), batch()[:, 1:].flatten()
    return _steps(lambda: run(inputs, targets), [optimizer])


def lens_training(shape: Shape) -> Work:
    model = _lens(shape).train().requires_grad_(True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    tokens = batch()[:, :-1]
    return _steps(lambda: model(tokens, return_type="loss"), [optimizer])


def _steps(loss: Callable[[], Tensor], optimizers: list[torch.optim.Optimizer]) -> Work:
    def work() -> float:
        value = torch.tensor(0.0)
        for _ in range(STEPS):
            value = loss()
            value.backward()
            value.item()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
        return float(value)

    return work


# Measuring a snapshot


def ours_measuring(shape: Shape) -> Work:
    model, evaluation = random_model(shape), evaluation_set(CONFIG.evaluation.examples)

    def work() -> float:
        arrays = {k: v for measure in ARRAYS for k, v in measure(model, evaluation).items()}
        scores = {k: v for measure in HEADS for k, v in measure(model, evaluation).items()}
        CIRCUITS(model, scores["previous_token"])
        PAIRS(model)
        return float(arrays["per_index"].mean() + scores["prefix_matching"].sum())

    return work


def lens_measuring(shape: Shape) -> Work:
    """The same with what TransformerLens has for each: it knows fewer controls and circuits."""
    from transformer_lens import head_detector  # pyright: ignore[reportMissingImports]

    model, evaluation = _lens(shape), evaluation_set(CONFIG.evaluation.examples)
    probes = evaluation.probes

    def detected(tokens: Tensor, target: Tensor, share: float) -> Tensor:
        _, cache = model.run_with_cache(tokens, remove_batch_dim=True)
        patterns = [p for layer in range(N_LAYERS) for p in cache["pattern", layer]]
        return torch.tensor([float((p * target).sum() / p.sum()) / share for p in patterns])

    @torch.no_grad()
    def work() -> float:
        losses = []
        for tokens in evaluation.tokens.split(16):
            logits = model(tokens[:, :-1]).flatten(0, 1)
            losses.append(F.cross_entropy(logits, tokens[:, 1:].flatten(), reduction="none"))
        prefix = torch.zeros(N_LAYERS * N_HEADS)
        for row, period in zip(probes.tokens, probes.periods, strict=True):
            sequence = row[None, : 1 + probes.repeats * int(period)]
            target = head_detector.get_induction_head_detection_pattern(sequence)
            prefix += detected(
                sequence, target, (probes.repeats - 1) * int(period) / sequence.shape[1]
            )
        for row in evaluation.tokens[: evaluation.pattern_examples, :-1]:
            target = head_detector.get_previous_token_head_detection_pattern(row[None])
            detected(row[None], target, 1.0)
        float((model.W_E @ model.OV @ model.W_U).eigenvalues.real.sum())  # copying
        for kind in ("K", "Q", "V"):
            model.all_composition_scores(kind)
        return float(torch.cat(losses).mean() + prefix.sum() / len(probes.tokens))

    return work


# Ablating every head


def ours_ablating(shape: Shape) -> Work:
    model, evaluation = random_model(shape), evaluation_set(ABLATED_EXAMPLES)
    ablations = [
        Ablation(frozenset({(layer, head)}), kind)
        for layer in range(N_LAYERS)
        for head in range(N_HEADS)
        for kind in KINDS
    ]

    def work() -> float:
        losses = ablated_losses(model, evaluation, ablations)
        return sum(float(losses.ablated[one].mean()) for one in ablations)

    return work


def lens_ablating(shape: Shape) -> Work:
    """One head a pass, through hooks; for the second kind with the patterns of an intact pass."""
    model, evaluation = _lens(shape), evaluation_set(ABLATED_EXAMPLES)

    @torch.no_grad()
    def work() -> float:
        total, batches = 0.0, evaluation.tokens.split(16)
        for tokens in batches:
            inputs, targets = tokens[:, :-1], tokens[:, 1:]
            _, cache = model.run_with_cache(inputs, names_filter=lambda n: "hook_pattern" in n)
            for layer in range(N_LAYERS):
                for head in range(N_HEADS):
                    for kind in KINDS:

                        def remove(z: Tensor, hook: object, head: int = head) -> Tensor:
                            z[:, :, head] = 0.0
                            return z

                        def keep(pattern: Tensor, hook: object, cache: object = cache) -> Tensor:
                            return cache[hook.name]  # pyright: ignore

                        hooks: list = [(f"blocks.{layer}.attn.hook_z", remove)]
                        if kind == "pattern_preserving":
                            hooks.append((lambda name: name.endswith("hook_pattern"), keep))
                        logits = model.run_with_hooks(inputs, fwd_hooks=hooks)
                        total += float(F.cross_entropy(logits.flatten(0, 1), targets.flatten()))
        return total / len(batches)

    return work


def _lens(shape: Shape):
    from induction.peers.to_transformer_lens import to_transformer_lens

    return to_transformer_lens(random_model(shape))


# The machine


def matrix_product() -> Work:
    """The peak to set efficiency against: 20 products of 1,024 × 1,024 float32 matrices."""
    from induction.model.kernels import linear

    a = torch.randn(1024, 1024)

    def work() -> float:
        with torch.no_grad():
            for _ in range(20):
                linear(a, a)
        return 0.0

    return work


ATTENTION, MLP = Shape(True), Shape(False)
CONTENDERS: dict[str, Callable[[], Work]] = {
    "matrix product": matrix_product,
    **{
        f"{what}, {label}": (lambda make=make, shape=shape: make(shape))
        for label, shape in (("attention only", ATTENTION), ("with MLP", MLP))
        for what, make in {
            "ours training": ours_training,
            "ours training by Muon": lambda shape: ours_training(shape, "muon"),
            "plain training": lambda shape: plain_training(shape, compiled=False),
            "compiled training": lambda shape: plain_training(shape, compiled=True),
            "lens training": lens_training,
            "ours measuring": ours_measuring,
            "lens measuring": lens_measuring,
            "ours ablating": ours_ablating,
            "lens ablating": lens_ablating,
        }.items()
    },
}


def main() -> None:
    name, threads = sys.argv[1], int(sys.argv[2])
    set_up = CONFIG.compute.model_copy(update={"device": "cpu", "threads": threads})
    if name.startswith(("ours", "matrix")):
        set_up_torch(set_up)
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    work = CONTENDERS[name]()
    work()  # compiled, cached, warmed up
    print("ready", flush=True)
    for _ in sys.stdin:
        start = time.perf_counter()
        check = work()
        print(json.dumps({"seconds": time.perf_counter() - start, "check": check}), flush=True)


if __name__ == "__main__":
    main()
