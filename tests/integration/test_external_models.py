"""Models of others behind the study's interface, against `transformers` itself."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_external import CONFIGS, D_VOCAB, random_external
from safetensors.torch import load_file, save_file
from test_measure import SETTINGS
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from induction.ablate.evaluator import KINDS, Ablation, ablated_losses
from induction.config import ExternalModel
from induction.errors import StudyError
from induction.evaluation.evaluation_set import EvaluationSet, make_evaluation
from induction.external import attention
from induction.external.adapter import AdaptedModel
from induction.external.attention import Call
from induction.external.families import FAMILIES, family_of
from induction.external.left_out import LEFT_OUT
from induction.external.weights import load_model
from induction.measure import (
    composition,
    copying,
    losses,
    prefix_matching,
    previous_token,
    weight_circuits,
)
from induction.model.hooks import Intervention, Record

TOKENS = torch.randint(1, D_VOCAB, (3, 40), generator=torch.Generator().manual_seed(1))
CLOSE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-4}


@pytest.fixture(params=sorted(CONFIGS))
def pair(request):
    """The same weights: as `transformers` runs them, and adapted."""
    theirs = random_external(request.param)
    return theirs, AdaptedModel(copy.deepcopy(theirs))


def logits(model: AdaptedModel, record=None, intervene=None) -> torch.Tensor:
    return model.residual(TOKENS, record, intervene) @ model.W_U


def evaluation(n_ctx: int = 64, settings=SETTINGS) -> EvaluationSet:
    random = np.random.default_rng(0)
    stream = [np.append(0, random.integers(1, D_VOCAB, 150)) for _ in range(30)]
    counts = np.arange(D_VOCAB) + 1
    return make_evaluation(np.concatenate(stream).astype(np.uint16), counts, 0, n_ctx, settings)


def test_every_known_family_is_tried_here():
    assert set(CONFIGS) == set(FAMILIES)


def test_logits_patterns_and_stream_are_those_of_transformers(pair):
    theirs, ours = pair
    out = theirs(TOKENS, output_attentions=True, output_hidden_states=True)
    record = Record(("pattern", "z", "resid_pre"))
    torch.testing.assert_close(logits(ours, record), out.logits, **CLOSE)
    torch.testing.assert_close(logits(ours), out.logits, **CLOSE)
    assert out.logits.std() > 0.5
    for layer in range(ours.spec.n_layers):
        torch.testing.assert_close(record["pattern", layer], out.attentions[layer], **CLOSE)
        torch.testing.assert_close(record["resid_pre", layer], out.hidden_states[layer], **CLOSE)
        sizes = (*TOKENS.shape[:1], ours.spec.n_heads, TOKENS.shape[1], ours.spec.d_head)
        assert record["z", layer].shape == sizes


def layers_of(model: Any) -> Any:
    base = model.base_model
    return base.layers if hasattr(base, "layers") else base.h


def output_projection(layer: Any) -> tuple[str, bool]:
    """The name of a layer's output projection; whether a row of its weight is an input."""
    ends = {
        "attention.dense": False,
        "attn.c_proj": True,
        "attn.attention.out_proj": False,
        "self_attn.o_proj": False,
    }
    [found] = [name for name, _ in layer.named_modules() if name in ends]
    return found, ends[found]


def without_head(theirs: Any, ours: AdaptedModel, layer: int, head: int):
    """A copy in which nothing of a head gets through its output projection."""
    changed = copy.deepcopy(theirs)
    place = layers_of(changed)[layer]
    name, turned = output_projection(place)
    weight = place.get_submodule(name).weight
    channels = slice(head * ours.spec.d_head, (head + 1) * ours.spec.d_head)
    (weight if turned else weight.T)[channels] = 0
    return changed


@pytest.mark.parametrize(("layer", "head"), [(0, 1), (1, 3), (2, 0)])
def test_a_head_scaled_to_zero_is_one_without_its_rows_of_the_output_projection(pair, layer, head):
    theirs, ours = pair
    scale = torch.ones(ours.spec.n_heads)
    scale[head] = 0
    found = logits(ours, None, Intervention(head_scale={layer: scale}))
    expected = without_head(theirs, ours, layer, head)(TOKENS).logits
    torch.testing.assert_close(found, expected, **CLOSE)
    assert (found - theirs(TOKENS).logits).abs().max() > 1e-2


def test_starting_from_a_later_layer_gives_the_same_logits_and_runs_no_other(pair):
    _, ours = pair
    record, later = Record(("resid_pre",)), Record(("resid_pre", "z"))
    expected = logits(ours, record)
    start = Intervention(start=(2, record["resid_pre", 2]))
    torch.testing.assert_close(logits(ours, later, start), expected, **CLOSE)
    assert {layer for _, layer in later.values} == {2}
    torch.testing.assert_close(logits(ours), expected, **CLOSE)  # all layers are back


@pytest.mark.parametrize("family", ["gpt2", "gpt_neo", "olmo2"])
def test_many_layers_can_be_skipped(family):
    """A layer of GPT-Neo hands back a tuple: what stands for it must too, or the stream is cut."""
    changes: dict[str, Any] = {"num_hidden_layers": 6, "vocab_size": D_VOCAB}
    if family == "gpt_neo":
        changes |= {"attention_types": [[["global", "local"], 3]], "window_size": 8}
    config = type(CONFIGS[family]())(
        **changes, hidden_size=32, num_attention_heads=4, pad_token_id=None
    )
    torch.manual_seed(0)
    ours = AdaptedModel(AutoModelForCausalLM.from_config(config, attn_implementation="eager"))
    record = Record(("resid_pre",))
    expected = logits(ours, record)
    start = Intervention(start=(5, record["resid_pre", 5]))
    torch.testing.assert_close(logits(ours, None, start), expected, **CLOSE)


def test_given_patterns_and_outputs_are_used_and_blocked_places_are_not_attended_to(pair):
    _, ours = pair
    record = Record(("pattern", "z"))
    expected = logits(ours, record)
    same = Intervention(patterns={1: record["pattern", 1]}, z={0: record["z", 0]})
    torch.testing.assert_close(logits(ours, None, same), expected, **CLOSE)
    first = torch.zeros_like(record["pattern", 1])
    first[..., 0] = 1
    run = Record(("pattern", "z"))
    logits(ours, run, Intervention(patterns={1: first}))
    torch.testing.assert_close(run["pattern", 1], first)
    assert (run["z", 1] - run["z", 1][:, :, :1]).abs().max() < 1e-5
    back_one = torch.ones(40, 40, dtype=torch.bool).tril(-1).triu(-1)
    logits(ours, run, Intervention(blocked={1: back_one}))
    assert run["pattern", 1].diagonal(offset=-1, dim1=-2, dim2=-1).abs().max() == 0
    torch.testing.assert_close(run["pattern", 1].sum(-1), torch.ones(3, 4, 40))


# Dimensions over which queries and keys are normalised, with a scale that matrices leave out: of
# each head alone, or of all heads of a layer together.
SCALES_OF_HEADS: dict[str, Any] = {"qwen3": (-1,), "olmo2": (-2, -1), "olmo3": (-2, -1)}
POST_NORM = ("olmo2", "olmo3")


def test_matrices_of_heads_give_what_heads_read_and_write(pair, monkeypatch):
    """Without biases, and at the first position, where no rotation is."""
    theirs, _ = pair
    family = theirs.config.model_type
    for name, weight in theirs.named_parameters():
        if name.endswith("bias") and any(part in name for part in ("attn", "attention.")):
            weight.zero_()
    ours, seen, wrote = AdaptedModel(copy.deepcopy(theirs)), [], []
    for layer in layers_of(ours._model):
        last = "post_attention_layernorm" if family in POST_NORM else output_projection(layer)[0]
        layer.get_submodule(last).register_forward_hook(lambda _, __, out: wrote.append(out))

    def note(q, k, *_):
        seen.append((q, k))
        return pattern(q, k, *_)

    pattern = attention._pattern
    monkeypatch.setattr(attention, "_pattern", note)
    record = Record(("pattern", "z", "resid_pre"))
    ours.residual(TOKENS, record)
    for layer in range(3):
        x = ours.norm(layer)(record["resid_pre", layer])[:, None]
        W_Q, W_K, W_V, W_O = ours.head_matrices(layer)
        torch.testing.assert_close(
            record["pattern", layer] @ (x @ W_V), record["z", layer], **CLOSE
        )
        q, k = seen[layer]
        if family == "gpt_neo":  # does not divide its scores, so that W_Q says what others' says
            q = q * ours.spec.d_head**0.5
        for W, got in ((W_Q, q), (W_K, k)):
            expected, first = (x @ W)[:, :, 0], got[:, :, 0]
            if family in SCALES_OF_HEADS:
                dims = SCALES_OF_HEADS[family]
                expected, first = (v / v.norm(dim=dims, keepdim=True) for v in (expected, first))
            torch.testing.assert_close(expected, first, **CLOSE)
        written = (record["z", layer].transpose(1, 2)[..., None, :] @ W_O).squeeze(-2).sum(dim=2)
        joins = wrote[layer]
        if family in POST_NORM:  # so is that of the norm on the way to the stream
            written, joins = (v / v.norm(dim=-1, keepdim=True) for v in (written, joins))
        torch.testing.assert_close(written, joins, **CLOSE)


def test_norms_and_embeddings_are_the_models_own(pair):
    theirs, ours = pair
    torch.testing.assert_close(ours.W_E, theirs.get_input_embeddings().weight)
    torch.testing.assert_close(ours.W_U, theirs.get_output_embeddings().weight.T)
    base, x = theirs.base_model, torch.randn(2, 5, 32)
    names = ("ln_1", "input_layernorm")
    norms = [
        next((getattr(layer, n) for n in names if hasattr(layer, n)), torch.nn.Identity())
        for layer in layers_of(theirs)
    ]
    last = next(getattr(base, n) for n in ("final_layer_norm", "ln_f", "norm") if hasattr(base, n))
    for layer, norm in enumerate([*norms, last]):
        torch.testing.assert_close(ours.norm(layer)(x), norm(x), **CLOSE)


def test_every_measurement_runs_on_every_family(pair):
    _, ours = pair
    data = evaluation()
    found = losses.measure(ours, data)
    assert np.isfinite(found["per_token"]).all()
    scores = previous_token.measure(ours, data)
    scores |= prefix_matching.measure(ours, data) | copying.measure(ours, data)
    scores |= weight_circuits.measure(ours, scores["previous_token"])
    assert all(score.shape[:2] == (3, 4) for score in scores.values())  # some by sequence too
    assert np.isfinite(scores["copying"]).all()
    assert len(composition.measure(ours)) == 3 * 16


def test_an_ablation_has_the_effect_of_the_changed_weights(pair):
    theirs, ours = pair
    data = evaluation().first(4)
    ablation = Ablation(frozenset({(1, 2)}), "zero")
    found = ablated_losses(ours, data, [ablation])
    changed = AdaptedModel(without_head(theirs, ours, 1, 2))
    np.testing.assert_allclose(
        found.ablated[ablation], losses.token_losses(changed, data), atol=1e-4
    )
    np.testing.assert_allclose(found.intact, losses.token_losses(ours, data), atol=1e-4)


def test_a_planted_previous_token_head_is_found_and_nothing_else():
    """GPT-2, whose positions are in the stream: one head's queries and keys read them alone."""
    positions, heads = 64, 2
    config = GPT2Config(
        vocab_size=32, n_embd=128, n_layer=1, n_head=heads, n_positions=positions, bos_token_id=0
    )
    model: Any = GPT2LMHeadModel(config).eval().requires_grad_(False)
    for name, weight in model.named_parameters():
        weight.fill_(float(name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight"))))
    base = model.transformer
    base.wpe.weight[:, :positions] = torch.eye(positions)
    base.wte.weight[:, positions : positions + 32] = torch.eye(32)
    sharp, shift = 6.0, torch.eye(positions).roll(1, dims=1)
    shift[-1, 0] = 0.0
    base.h[0].attn.c_attn.weight[:positions, :positions] = sharp * torch.eye(positions)
    base.h[0].attn.c_attn.weight[:positions, 128 : 128 + positions] = sharp * shift
    stream = np.tile(np.append(0, np.arange(1, 32)), 20).astype(np.uint16)
    stream[stream == 0] = 5
    stream[0] = 0
    small = SETTINGS.model_copy(update={"examples": 4, "pattern_examples": 4})
    data = make_evaluation(stream, np.arange(32) + 1, 0, 48, small)
    score = previous_token.measure(AdaptedModel(model), data)["previous_token"]
    uniform = np.mean([1 / (i + 1) for i in range(1, 48)])
    assert score[0, 0] > 0.95
    assert score[0, 1] == pytest.approx(uniform, abs=1e-5)


def test_half_precision_comes_out_in_float32():
    theirs = random_external("llama").to(torch.bfloat16)
    ours = AdaptedModel(theirs)
    record = Record(("pattern",))
    assert ours.residual(TOKENS, record).dtype == torch.float32
    assert record["pattern", 0].dtype == torch.float32
    table = losses.token_losses(ours, evaluation())
    whole = losses.token_losses(AdaptedModel(random_external("llama")), evaluation())
    assert np.abs(table - whole).mean() < 0.1


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.0), (torch.float32, 1e-5)])
def test_an_ablation_of_nothing_changes_nothing(dtype, tolerance):
    ours = AdaptedModel(random_external("llama").to(dtype))
    nothing = Ablation(frozenset(), "zero")
    found = ablated_losses(ours, evaluation(), [nothing])
    assert np.abs(found.ablated[nothing] - found.intact).max() <= tolerance


def test_patterns_of_half_precision_are_those_of_float32():
    random = torch.Generator().manual_seed(0)
    q, k = 3 * torch.randn(2, 1, 2, 30, 16, generator=random).bfloat16()
    whole = attention._pattern(q.float(), k.float(), None, None)
    torch.testing.assert_close(attention._pattern(q, k, None, None), whole, atol=1e-6, rtol=1e-5)
    v = torch.randn(1, 2, 30, 16, generator=random).bfloat16()
    found = attention._z(Call(Record(("pattern",))), 0, q, k, v, None, None)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, (whole @ v.float()).bfloat16())
    q, k = (400 * each.half() for each in (q, k))
    assert (q @ k.mT).isinf().any()
    assert attention._pattern(q, k, None, None).isfinite().all()


def test_an_unknown_family_is_one_line_that_lists_the_known():
    with pytest.raises(StudyError, match=f"family bloom: known: {', '.join(FAMILIES)}$"):
        family_of("bloom")


def eager_losses(theirs: Any, tokens_BT: torch.Tensor, ablation: Ablation) -> np.ndarray:
    """Losses under an ablation as eager `transformers` gives them, hooked where the output
    projection reads; patterns are kept by giving each layer's attention the intact one."""
    ends = [layer.get_submodule(output_projection(layer)[0]) for layer in layers_of(theirs)]
    n_heads = theirs.config.num_attention_heads
    inputs: list[torch.Tensor] = []

    def keep(_, arguments):
        inputs.append(arguments[0].unflatten(-1, (n_heads, -1)))

    hooks = [end.register_forward_pre_hook(keep) for end in ends]
    out = theirs(tokens_BT[:, :-1], output_attentions=True)
    for hook in hooks:
        hook.remove()

    def changed(layer):
        def hook(module, arguments):
            z_BTHK = arguments[0].unflatten(-1, (n_heads, -1)).clone()
            if ablation.kind == "pattern_preserving":
                z_BTHK = mixed(layer, out.attentions[layer])
            for at, head in ablation.heads:
                if at == layer:
                    z_BTHK[:, :, head] = stand_in(inputs[layer][:, :, head])
            return (z_BTHK.flatten(-2),)

        return hook

    def stand_in(z_BTK):
        if ablation.kind == "mean":
            return z_BTK.mean(dim=(0, 1))
        return z_BTK.roll(-1, dims=0) if ablation.kind == "resample" else torch.zeros(())

    values: dict[int, torch.Tensor] = {}

    def mixed(layer, pattern_BHTT):
        v_BHTK = values[layer].unflatten(-1, (-1, inputs[layer].shape[-1])).transpose(1, 2)
        v_BHTK = v_BHTK.repeat_interleave(n_heads // v_BHTK.shape[1], dim=1)
        return (pattern_BHTT @ v_BHTK).transpose(1, 2)

    hooks = [end.register_forward_pre_hook(changed(n)) for n, end in enumerate(ends)]
    for layer, place in enumerate(layers_of(theirs)):
        hooks.append(hook_on_values(place, n_heads, lambda v, n=layer: values.__setitem__(n, v)))
    logits = theirs(tokens_BT[:, :-1]).logits
    for hook in hooks:
        hook.remove()
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), tokens_BT[:, 1:].flatten(), reduction="none"
    )
    return losses.view(tokens_BT[:, 1:].shape).numpy()


def hook_on_values(layer: Any, n_heads: int, put: Any) -> Any:
    """Have `put` called with a layer's values, [B, T, heads × K]."""
    modules = {name.rsplit(".", 1)[-1]: module for name, module in layer.named_modules()}
    if "v_proj" in modules:
        return modules["v_proj"].register_forward_hook(lambda _, __, out: put(out))
    if "c_attn" in modules:
        return modules["c_attn"].register_forward_hook(
            lambda _, __, out: put(out.chunk(3, dim=-1)[2])
        )
    return modules["query_key_value"].register_forward_hook(
        lambda _, __, out: put(out.unflatten(-1, (n_heads, 3, -1))[..., 2, :].flatten(-2))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_ablation_is_that_of_eager_transformers(pair, kind):
    theirs, ours = pair
    data = evaluation(settings=SETTINGS).first(4)
    assert data.tokens.shape[1] > 8 * 2  # longer than the local windows
    for heads in ({(0, 1)}, {(1, 3)}, {(2, 0)}, {(0, 2), (1, 0), (2, 3)}):
        ablation = Ablation(frozenset(heads), kind)
        found = ablated_losses(ours, data, [ablation])
        expected = data.at_tokens(eager_losses(theirs, data.tokens, ablation), 0)
        np.testing.assert_allclose(found.ablated[ablation], expected, atol=1e-4)
        assert np.abs(found.ablated[ablation] - found.intact).max() > 1e-3


def test_a_local_window_shorter_than_the_context_hides_what_lies_before(pair):
    theirs, ours = pair
    record = Record(("pattern",))
    ours.residual(TOKENS, record)
    local = LOCAL_LAYERS.get(theirs.config.model_type, ())
    before = torch.ones(40, 40, dtype=torch.bool).tril(-8)  # the window is 8, with the token itself
    for layer in range(3):
        seen = record["pattern", layer][..., before]
        assert (seen.max() == 0) == (layer in local)
        torch.testing.assert_close(record["pattern", layer].sum(-1), torch.ones(3, 4, 40))


LOCAL_LAYERS = {"mistral": (0, 1, 2), "gpt_neo": (1, 2), "smollm3": (0, 2), "olmo3": (0, 2)}


def test_every_family_says_what_its_circuits_leave_out():
    assert list(LEFT_OUT) == list(FAMILIES)
    assert all("positions" in words for words in LEFT_OUT.values())
    assert all("local windows" in LEFT_OUT[family] for family in LOCAL_LAYERS)
    assert all("scales of the norms" in LEFT_OUT[family] for family in SCALES_OF_HEADS)


def saved(theirs: Any, folder: Path, **changes: Any) -> Path:
    theirs.save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


def load(folder: Path) -> AdaptedModel:
    entry = {"source": "x", "revisions": {"a": 1}, "batch_tokens": 1, "n_layers": 3}
    entry = ExternalModel(**entry, device="cpu", dtype="float32")
    return load_model(folder, entry, torch.device("cpu"))


def test_what_is_loaded_from_files_is_the_model_that_was_saved(pair, tmp_path):
    theirs, _ = pair
    ours = load(saved(theirs, tmp_path))
    record = Record(("pattern",))
    out = theirs(TOKENS, output_attentions=True)
    torch.testing.assert_close(logits(ours, record), out.logits, **CLOSE)
    torch.testing.assert_close(record["pattern", 1], out.attentions[1], **CLOSE)


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "smollm3"])
def test_a_head_size_of_null_is_one_that_is_not_given(family, tmp_path):
    theirs = random_external(family)
    found = logits(load(saved(theirs, tmp_path, head_dim=None)))
    torch.testing.assert_close(found, theirs(TOKENS).logits, **CLOSE)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"no_rope_layers": [1]}, "no_rope_layers: says it of 1 layers, but num_hidden_layers is"),
        ({"sliding_window": None}, "layer_types: has layers of sliding_attention, but no sliding"),
        ({"layer_types": ["full_attention"]}, "`num_hidden_layers` .3. must be equal"),
    ],
)
def test_layers_of_which_too_little_is_said_are_one_line(changes, expected, tmp_path):
    with pytest.raises(StudyError, match=rf"config.json: .*{expected}"):
        load(saved(random_external("smollm3"), tmp_path, **changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"auto_map": {"AutoModelForCausalLM": "mine.Mine"}},
            "auto_map: the model has code of its",
        ),
        ({"is_causal": False}, "is_causal: false: not a model that predicts the next token"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "quantised by gptq: give"),
    ],
)
def test_a_configuration_that_means_another_model_is_one_line(changes, said, tmp_path):
    with pytest.raises(StudyError, match=rf"config.json: .*{said}"):
        load(saved(random_external("llama"), tmp_path, **changes))


@pytest.mark.parametrize("content", ["", "[]", "\ufeff{}", '{"a": '])
def test_a_damaged_configuration_is_not_to_be_deleted(content, tmp_path):
    folder = saved(random_external("llama"), tmp_path)
    (folder / "config.json").write_text(content)
    with pytest.raises(StudyError, match=r"damaged: .*: get it anew from where it came"):
        load(folder)


def test_weights_in_whole_numbers_are_refused(tmp_path):
    folder = saved(random_external("llama"), tmp_path)
    weights = load_file(folder / "model.safetensors")
    name = "model.layers.1.mlp.up_proj.weight"
    weights[name] = weights[name].to(torch.int8)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(StudyError, match=f"{name} is I8: give unquantised weights"):
        load(folder)


def test_a_model_that_runs_over_in_half_precision_says_so():
    theirs = random_external("llama")
    with torch.no_grad():
        theirs.model.layers[1].mlp.down_proj.weight.fill_(6e4)
    ours = AdaptedModel(theirs.half())
    with pytest.raises(StudyError, match=r"runs over in float16.*: give dtype: float32"):
        logits(ours)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_linear_layers_stay_pytorchs_where_its_products_are_taken(family, monkeypatch):
    monkeypatch.setenv("INDUCTION_PRODUCTS", "pytorch")
    model = random_external(family)
    plain = [type(module) for module in model.modules()]
    AdaptedModel(model)
    assert [type(module) for module in model.modules()] == plain


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_linear_layers_multiply_as_our_own_models_do(family, monkeypatch):
    """With and without a bias, and with GPT-2's weights the other way round."""
    monkeypatch.setenv("INDUCTION_PRODUCTS", "onednn")
    model = random_external(family)
    plain = {name: type(module) for name, module in model.named_modules()}
    tokens = torch.arange(9)[None]
    with torch.no_grad():
        theirs = model(tokens).logits
    AdaptedModel(model)
    changed = {name for name, module in model.named_modules() if type(module) is not plain[name]}
    layers = {name for name, kind in plain.items() if kind.__name__ in ("Linear", "Conv1D")}
    assert layers
    assert layers <= changed
    with torch.no_grad():
        torch.testing.assert_close(model(tokens).logits, theirs, rtol=1e-4, atol=1e-5)
