"""A real language model, SmolLM2-135M-Instruct, out of its wheel: `make test-extras`.

Its download (93 MB) is too much for every run. What is measured is set beside eager `transformers`
and plain loops; and the rule for induction heads takes those without which the model no longer
continues what it has read before.
"""

import os
from typing import Any

import numpy as np
import pytest
import torch
from made_external import make_tokens, texts
from torch.nn.functional import cross_entropy

from induction.ablate.evaluator import Ablation, ablated_losses
from induction.ablate.sets import head_sets
from induction.config import load_config
from induction.external.gguf_files import local_entry
from induction.external.opened import Opened, open_external
from induction.files import write_json
from induction.measure import losses, prefix_matching, previous_token, total_copying
from induction.model.hooks import Intervention, Record
from induction.paths import StudyPaths, find_study
from induction.rules.head_kinds import HeadKinds, find_head_kinds
from induction.stages import revisions
from induction.stages.measure import _head_rows

NAME = "smollm2-135m"
ROOT = find_study().root
CLOSE = 1e-3

pytestmark = pytest.mark.skipif(
    "INDUCTION_REAL_MODEL" not in os.environ, reason="make test-extras downloads the model"
)


@pytest.fixture(scope="module")
def opened(tmp_path_factory) -> Opened:
    """The model on made text, and few windows of it."""
    paths = StudyPaths(tmp_path_factory.mktemp("study"))
    make_tokens(paths.tokens, texts(), paths.scratch)
    whole = load_config(ROOT / "params" / "pretrained.yaml")
    evaluation = whole.evaluation.model_copy(
        update={"examples": 4, "pattern_examples": 4, "probe_sequences": 4}
    )
    smoke = load_config(ROOT / "params" / "smoke.yaml")
    evaluation = evaluation.model_copy(
        update={"early": smoke.evaluation.early, "late": smoke.evaluation.late}
    )
    config = smoke.model_copy(update={"external": whole.external, "evaluation": evaluation})
    write_json(paths.params, config.model_dump(mode="json"))
    revisions.main(paths, config, NAME)
    return open_external(paths, config, NAME)


@pytest.fixture(scope="module")
def model(opened: Opened) -> Any:
    return opened.load(opened.snapshots[0])


@pytest.fixture(scope="module")
def eager(opened: Opened) -> Any:
    """The same weights in plain `transformers`."""
    from transformers import AutoModelForCausalLM

    paths = find_study()
    entry = load_config(ROOT / "params" / "pretrained.yaml").external[NAME]
    folder = paths.root / local_entry(paths, NAME, entry).source
    loaded = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager"
    )
    return loaded.eval()


@torch.no_grad()
def patterns(eager: Any, tokens: torch.Tensor) -> np.ndarray:
    """[layers, B, heads, query, key]."""
    return torch.stack(eager(tokens, output_attentions=True).attentions).numpy()


def test_previous_token_scores_are_those_of_eager_transformers(model, eager, opened):
    tokens = opened.evaluation.tokens[:, :-1]
    found = previous_token.measure(model, opened.evaluation)["previous_token"]
    attention = patterns(eager, tokens)
    expected = np.mean([attention[..., i, i - 1] for i in range(1, tokens.shape[1])], axis=(0, 2))
    np.testing.assert_allclose(found, expected, atol=CLOSE)
    assert found.max() > 0.5


def test_prefix_matching_is_that_of_a_loop_over_eager_patterns(model, eager, opened):
    probes = opened.evaluation.probes
    found = prefix_matching.measure(model, opened.evaluation)["prefix_matching"]
    attention = patterns(eager, probes.tokens)
    expected = np.zeros_like(found)
    for row, period in enumerate(probes.periods):
        asked = range(period + 1, probes.repeats * period + 1)
        for query in asked:
            for key in range(query - period + 1, 1, -period):
                expected += attention[:, row, :, query, key] / len(asked) / len(probes.periods)
    np.testing.assert_allclose(found, expected, atol=CLOSE)
    assert found.max() > 0.5


def test_losses_are_those_of_eager_transformers(model, eager, opened):
    evaluation = opened.evaluation
    with torch.no_grad():
        logits = eager(evaluation.tokens[:, :-1]).logits
    each = cross_entropy(logits.flatten(0, 1), evaluation.tokens[:, 1:].flatten(), reduction="none")
    expected = evaluation.at_tokens(each.view(len(evaluation.tokens), -1).numpy())
    np.testing.assert_allclose(losses.token_losses(model, evaluation), expected, atol=CLOSE)


def test_an_ablation_is_that_of_changed_weights(model, eager, opened):
    few = opened.evaluation.first(2)
    heads = frozenset({(17, 3), (20, 6)})
    found = ablated_losses(model, few, [Ablation(heads, "zero")])
    d_head = eager.config.hidden_size // eager.config.num_attention_heads
    kept = {layer: eager.model.layers[layer].self_attn.o_proj.weight.clone() for layer, _ in heads}
    with torch.no_grad():
        for layer, head in heads:
            weight = eager.model.layers[layer].self_attn.o_proj.weight
            weight[:, head * d_head : (head + 1) * d_head] = 0.0
        logits = eager(few.tokens[:, :-1]).logits
        for layer, weight in kept.items():
            eager.model.layers[layer].self_attn.o_proj.weight.copy_(weight)
    each = cross_entropy(logits.flatten(0, 1), few.tokens[:, 1:].flatten(), reduction="none")
    expected = few.at_tokens(each.view(2, -1).numpy())
    [ablated] = found.ablated.values()
    np.testing.assert_allclose(ablated, expected, atol=CLOSE)
    assert np.abs(ablated - found.intact).max() > 0.01


def test_the_rule_takes_the_heads_that_repetition_hangs_on(model, opened):
    config = load_config(ROOT / "params" / "pretrained.yaml")
    matching = prefix_matching.measure(model, opened.evaluation)["prefix_matching"]
    effects = total_copying.measure(
        model, opened.evaluation, matching, config.head_kinds.prefix_matching
    )
    before = previous_token.measure(model, opened.evaluation)["previous_token"]
    scores = {"prefix_matching": matching, "previous_token": before}
    scores |= {name: value for name, value in effects.items() if value.ndim == 2}
    kinds = find_head_kinds(_head_rows(opened.snapshots[0], scores), config.head_kinds)
    assert len(kinds.induction) >= 5
    tokens = opened.evaluation.probes.tokens
    intact = repeated_loss(model, opened, tokens, frozenset())
    assert repeated_loss(model, opened, tokens, frozenset(kinds.induction)) - intact > 5
    groups = head_sets(model.spec, HeadKinds(kinds.induction, ()), 3, 0)
    others = [group.heads for group in groups if group.name == "random"]
    assert others
    for each in others:
        assert repeated_loss(model, opened, tokens, frozenset(each)) - intact < 1


@torch.no_grad()
def repeated_loss(model: Any, opened: Opened, tokens: torch.Tensor, heads: frozenset) -> float:
    """Mean loss of the repeats of the random segments, without these heads."""
    scale = {
        layer: torch.tensor([float((layer, head) not in heads) for head in range(9)])
        for layer in sorted({layer for layer, _ in heads})
    }
    resid = model.residual(tokens, Record(()), Intervention(head_scale=scale))
    probes, found = opened.evaluation.probes, []
    for row, period in enumerate(probes.periods):
        asked = slice(period + 1, probes.repeats * period)
        targets = tokens[row, period + 2 : probes.repeats * period + 1]
        found.append(cross_entropy(resid[row, asked] @ model.W_U, targets))
    return float(torch.stack(found).mean())
