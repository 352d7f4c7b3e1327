"""This study's models and scores against TransformerLens' on the same weights and tokens.

Runs where TransformerLens is installed: `make test-extras`.
"""

import socket

import numpy as np
import pytest
import torch
from torch import Tensor

pytest.importorskip("transformer_lens")
pytestmark = pytest.mark.filterwarnings("ignore:HookedTransformer is deprecated")

from built_models import (  # noqa: E402
    D_VOCAB,
    induction_model,
    random_model,
    smeared_model,
    uneven_model,
)
from test_measure import SETTINGS, evaluate  # noqa: E402
from transformer_lens import head_detector  # pyright: ignore[reportMissingImports]  # noqa: E402

from induction.ablate.evaluator import Ablation, Kind, ablated_losses  # noqa: E402
from induction.errors import StudyError  # noqa: E402
from induction.measure import composition, prefix_matching, previous_token  # noqa: E402
from induction.measure.losses import token_losses  # noqa: E402
from induction.model.hooks import Record  # noqa: E402
from induction.model.transformer import Transformer  # noqa: E402
from induction.model.weights import load_snapshot, save_snapshot  # noqa: E402
from induction.peers.to_transformer_lens import to_transformer_lens  # noqa: E402

ATOL, RTOL = 1e-4, 0.0
MODELS = {
    "attention-only": lambda: uneven_model(1, n_layers=3),
    "MLP": lambda: uneven_model(2, attn_only=False),
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*_):
        raise AssertionError("TransformerLens reached for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture(params=MODELS)
def model(request) -> Transformer:
    return MODELS[request.param]()


@pytest.fixture
def tokens() -> Tensor:
    return torch.randint(0, D_VOCAB, (5, 48), generator=torch.Generator().manual_seed(0))


def test_logits_patterns_and_head_outputs_agree(model, tokens):
    record = Record(("pattern", "z", "resid_pre"))
    ours = model(tokens, record)
    theirs, cache = to_transformer_lens(model).run_with_cache(tokens)
    assert ours.std() > 0.5
    torch.testing.assert_close(theirs, ours, atol=ATOL, rtol=RTOL)
    for layer in range(model.spec.n_layers):
        torch.testing.assert_close(
            cache["pattern", layer], record["pattern", layer], atol=ATOL, rtol=RTOL
        )
        torch.testing.assert_close(
            cache["z", layer].transpose(1, 2), record["z", layer], atol=ATOL, rtol=RTOL
        )
        torch.testing.assert_close(
            cache["resid_pre", layer], record["resid_pre", layer], atol=ATOL, rtol=RTOL
        )


def test_a_snapshot_from_disk_agrees(tmp_path, tokens):
    model = uneven_model(attn_only=False)
    save_snapshot(model, tmp_path, step=1, tokens=10)
    peer = to_transformer_lens(load_snapshot(tmp_path / "step-000001.safetensors"))
    torch.testing.assert_close(peer(tokens), model(tokens), atol=ATOL, rtol=RTOL)


def test_losses_agree(model):
    evaluation = evaluate()
    theirs = losses(to_transformer_lens(model)(evaluation.tokens[:, :-1]), evaluation.tokens)
    np.testing.assert_allclose(token_losses(model, evaluation), theirs, atol=ATOL, rtol=RTOL)


def losses(logits: Tensor, tokens: Tensor) -> np.ndarray:
    """Loss of every token in nats, as token_losses: [examples, n_ctx]."""
    log_probabilities = logits.log_softmax(dim=-1)
    return -log_probabilities.gather(-1, tokens[:, 1:, None])[..., 0].numpy()


@pytest.mark.parametrize("build", [*MODELS.values(), induction_model], ids=[*MODELS, "built"])
def test_prefix_matching_agrees_with_the_head_detector(build):
    model, evaluation = build(), evaluate()
    probes, peer = evaluation.probes, to_transformer_lens(model)
    scores = []
    for row, period in zip(probes.tokens, probes.periods, strict=True):
        sequence = row[None, : 1 + probes.repeats * int(period)]
        target = head_detector.get_induction_head_detection_pattern(sequence)
        # Its share is of all queries, also of those that have no earlier copy.
        asked = (probes.repeats - 1) * int(period)
        scores.append(detected(peer, sequence, target) * sequence.shape[1] / asked)
    ours = prefix_matching.measure(model, evaluation)["prefix_matching"]
    np.testing.assert_allclose(ours, np.mean(scores, axis=0), atol=ATOL, rtol=RTOL)


def test_previous_token_scores_agree_with_the_head_detector(model):
    evaluation = evaluate()
    peer = to_transformer_lens(model)
    scores = []
    for row in evaluation.tokens[: evaluation.pattern_examples, :-1]:
        target = head_detector.get_previous_token_head_detection_pattern(row[None])
        # Its share is of all queries, also of the first, which has no previous token.
        scores.append(detected(peer, row[None], target) * len(row) / (len(row) - 1))
    ours = previous_token.measure(model, evaluation)["previous_token"]
    np.testing.assert_allclose(ours, np.mean(scores, axis=0), atol=ATOL, rtol=RTOL)


def detected(peer, tokens: Tensor, target: Tensor) -> np.ndarray:
    """Share of each head's attention that falls on the target, [n_layers, n_heads].

    The last step of `detect_head`, which itself needs text and a tokenizer.
    """
    _, cache = peer.run_with_cache(tokens, remove_batch_dim=True)
    return np.array(
        [
            [
                head_detector.compute_head_attention_similarity_score(
                    pattern,
                    target,
                    exclude_bos=False,
                    exclude_current_token=False,
                    error_measure="mul",
                )
                for pattern in cache["pattern", layer]
            ]
            for layer in range(peer.cfg.n_layers)
        ]
    )


@pytest.mark.parametrize("kind", ["zero", "pattern_preserving"])
def test_losses_without_each_head_agree(model, kind: Kind):
    evaluation = evaluate(SETTINGS.model_copy(update={"examples": 4}))
    heads = [(n, h) for n in range(model.spec.n_layers) for h in range(model.spec.n_heads)]
    ablations = {head: Ablation(frozenset([head]), kind) for head in heads}
    ours = ablated_losses(model, evaluation, ablations.values())
    peer, inputs = to_transformer_lens(model), evaluation.tokens[:, :-1]
    _, cache = peer.run_with_cache(inputs)
    changed = False
    for (layer, head), ablation in ablations.items():

        def remove(z, hook, head=head):
            z[:, :, head] = 0.0
            return z

        def keep(pattern, hook):
            return cache[hook.name]

        hooks: list = [(f"blocks.{layer}.attn.hook_z", remove)]
        if kind == "pattern_preserving":
            hooks.append((lambda name: name.endswith("hook_pattern"), keep))
        theirs = losses(peer.run_with_hooks(inputs, fwd_hooks=hooks), evaluation.tokens)
        np.testing.assert_allclose(ours.ablated[ablation], theirs, atol=ATOL, rtol=RTOL)
        changed |= bool(np.abs(ours.ablated[ablation] - ours.intact).max() > 0.1)
    assert changed


def test_composition_scores_agree():
    model = random_model(n_layers=3)  # TransformerLens leaves the weights of the norms out
    peer = to_transformer_lens(model)
    pairs = composition.measure(model)
    assert len(pairs) == 3 * 4 * 4
    for name in ("k", "q", "v"):
        theirs = peer.all_composition_scores(name.upper())
        for layer, head, below, other, ours in pairs.select(
            "layer", "head", "from_layer", "from_head", name
        ).iter_rows():
            assert ours == pytest.approx(float(theirs[below, other, layer, head]), abs=1e-4)


def test_smeared_keys_are_refused_in_one_line():
    with pytest.raises(StudyError, match="TransformerLens has no such attention") as error:
        to_transformer_lens(smeared_model())
    assert "\n" not in str(error.value)
