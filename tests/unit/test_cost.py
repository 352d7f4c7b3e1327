"""The arithmetic of what a study costs, and that docs/gpus-and-clusters.md shows it."""

import json
from pathlib import Path

import contenders
import cost
import pytest
import torch
from flop import ablation_flop, block_flop, forward_flop, training_flop
from torch.utils.flop_counter import FlopCounterMode

from induction.config import load_config

ROOT = Path(__file__).parents[2]
FOUND = json.loads(cost.TARGET.read_text())


def test_the_readme_shows_what_the_arithmetic_gives():
    assert cost.tables(FOUND) in (ROOT / "docs" / "gpus-and-clusters.md").read_text()


def test_the_kept_numbers_are_those_of_the_parameter_files():
    gpu = cost.study_work(load_config(ROOT / "params" / "gpu.yaml"))
    laptop = cost.study_work(load_config(ROOT / "params.yaml"))
    rows = {row["what"]: row for row in FOUND["rows"]}
    assert rows["preset `gpu`"] == cost.total("preset `gpu`", gpu)
    assert rows["laptop study"] == cost.total("laptop study", laptop)


def test_the_reckoned_durations_are_near_the_measured_ones():
    assert [row["stage"] for row in FOUND["check"]] == ["train", "measure", "ablate"]
    for row in FOUND["check"]:
        assert 1 / 2 < row["measured"] / row["reckoned"] < 2


def test_the_paper_has_34_models_of_the_sizes_that_it_tells():
    paper = cost.paper_work()
    assert len(paper) == 34
    full = [work for work in paper if not work.ablated_snapshots]
    told = [13e6, 42e6, 200e6, 810e6, 2.7e9, 13e9]  # without embeddings
    for work, parameters in zip(full, told, strict=True):
        embeddings = 2 * work.spec.d_model * work.spec.d_vocab
        assert work.parameters - embeddings == pytest.approx(parameters, rel=0.05)


@pytest.mark.parametrize("attn_only", [True, False])
def test_forward_and_training_are_counted_as_pytorch_counts(attn_only):
    """PyTorch counts whole attention patterns, we the half that is causal."""
    spec = contenders.Shape(attn_only).spec
    model, tokens = contenders.Plain(spec), contenders.batch()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(tokens[:, :-1], tokens[:, 1:].flatten())
    kinds = {str(kind): n for kind, n in counter.get_flop_counts()["Global"].items()}
    products = sum(count for kind, count in kinds.items() if "attention" not in kind)
    attention = 2 * spec.n_layers * spec.d_model * (spec.n_ctx + 1)
    assert forward_flop(spec, spec.n_ctx) - attention == products / tokens[:, 1:].numel()
    assert training_flop(spec) == 3 * forward_flop(spec, spec.n_ctx)


def test_ablating_runs_from_the_ablated_layer_on():
    spec = contenders.Shape(True).spec  # two layers of four heads
    intact, logits = forward_flop(spec, 256), 2 * spec.d_model * spec.d_vocab
    blocks = 4 * (2 + 1) * block_flop(spec, 256)
    assert ablation_flop(spec, 256, 1) == 2 * intact + blocks + 8 * logits
