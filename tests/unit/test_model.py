"""The transformer: what its interface promises, and what its architecture forbids."""

import pytest
import torch
from built_models import D_VOCAB, N_CTX, induction_model, random_model

from induction.errors import StudyError
from induction.model.hooks import Intervention, Record
from induction.model.weights import list_snapshots, load_snapshot, save_snapshot

ARCHITECTURES = [
    {"attn_only": attn_only, "smeared_keys": smeared}
    for attn_only in (True, False)
    for smeared in (True, False)
]


@pytest.fixture
def tokens():
    return torch.randint(0, D_VOCAB, (3, 40), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_future_does_not_reach_the_past(architecture, tokens):
    model = random_model(**architecture)
    changed = tokens.clone()
    changed[:, 25:] = (changed[:, 25:] + 1) % D_VOCAB
    before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, :25], after[:, :25])
    assert not torch.allclose(before[:, 25:], after[:, 25:])


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_recording_changes_nothing_and_patterns_are_distributions(architecture, tokens):
    model = random_model(**architecture)
    record = Record(("pattern", "z", "resid_pre"))
    assert torch.equal(model(tokens, record), model(tokens))
    for layer in range(2):
        pattern = record["pattern", layer]
        assert pattern.shape == (3, 4, 40, 40)
        torch.testing.assert_close(pattern.sum(-1), torch.ones(3, 4, 40))
        assert pattern.triu(1).abs().max() == 0
        assert record["z", layer].shape == (3, 4, 40, 8)
        assert record["resid_pre", layer].shape == (3, 40, 32)


def test_only_the_layers_asked_for_are_recorded(tokens):
    record = Record(("pattern",), layers=(1,))
    random_model()(tokens, record)
    assert set(record.values) == {("pattern", 1)}


def test_a_head_scaled_to_zero_is_a_head_without_output(tokens):
    model = random_model()
    scale = torch.tensor([1.0, 0.0, 1.0, 1.0])
    ablated = model(tokens, intervene=Intervention(head_scale={1: scale}))
    with torch.no_grad():
        model.blocks[1].attn.W_O[8:16] = 0.0  # the rows that head 1 writes through
    torch.testing.assert_close(ablated, model(tokens))


def test_heads_are_scaled_for_each_example(tokens):
    model = random_model()
    scale = torch.ones(3, 4)
    scale[1, 2] = 0.0
    mixed = model(tokens, intervene=Intervention(head_scale={0: scale}))
    whole = model(tokens)
    torch.testing.assert_close(mixed[[0, 2]], whole[[0, 2]])
    assert not torch.allclose(mixed[1], whole[1])


def test_an_offset_takes_the_place_of_a_removed_head(tokens):
    model = random_model()
    record = Record(("z",))
    whole = model(tokens, record)
    scale = torch.tensor([1.0, 0.0, 1.0, 1.0])
    own = record["z", 0] * (1 - scale)[:, None, None]
    same = Intervention(head_scale={0: scale}, head_offset={0: own})
    torch.testing.assert_close(model(tokens, intervene=same), whole)
    others = Intervention(head_scale={0: scale}, head_offset={0: own.roll(1, dims=0)})
    assert not torch.allclose(model(tokens, intervene=others), whole)


def test_given_patterns_replace_the_models_own(tokens):
    model = random_model()
    record = Record(("pattern",))
    model(tokens, record)
    kept = {layer: record["pattern", layer] for layer in range(2)}
    torch.testing.assert_close(model(tokens, intervene=Intervention(patterns=kept)), model(tokens))
    kept[1] = torch.eye(40).expand_as(kept[1])
    assert not torch.allclose(model(tokens, intervene=Intervention(patterns=kept)), model(tokens))


def test_a_blocked_place_gets_no_attention_and_the_rest_shares_it(tokens):
    model = random_model()
    intact, knocked_out = Record(("pattern",)), Record(("pattern",))
    model(tokens, intact)
    blocked = torch.zeros(4, 40, 40, dtype=torch.bool)
    blocked[2].diagonal(-1).fill_(True)  # head 2 may not look at the token before
    blocked[2, 0] = True  # and from the first place at nothing at all
    model(tokens, knocked_out, Intervention(blocked={1: blocked}))
    before, after = intact["pattern", 1], knocked_out["pattern", 1]
    torch.testing.assert_close(after[:, [0, 1, 3]], before[:, [0, 1, 3]])
    expected = before[:, 2].masked_fill(blocked[2], 0.0)
    expected[:, 1:] /= 1 - before[:, 2].diagonal(-1, 1, 2)[..., None]
    expected[:, 1] = 0 * expected[:, 1] + torch.eye(40)[1]
    torch.testing.assert_close(after[:, 2], expected)


def test_starting_from_a_stored_stream_gives_the_same_logits(tokens):
    model = random_model()
    record = Record(("resid_pre",))
    logits = model(tokens, record)
    start = Intervention(start=(1, record["resid_pre", 1]))
    torch.testing.assert_close(model(tokens, intervene=start), logits)


def test_positions_do_not_reach_values():
    """With constant attention, the order of earlier tokens cannot matter (Shortformer)."""
    model = random_model(n_layers=1)
    with torch.no_grad():
        model.blocks[0].attn.W_Q.zero_()
    tokens = torch.arange(10)[None]
    shuffled = torch.cat([tokens[:, :9].flip(1), tokens[:, 9:]], dim=1)
    torch.testing.assert_close(model(tokens)[:, -1], model(shuffled)[:, -1])


def test_smeared_keys_mix_each_key_with_the_one_before(tokens):
    model = random_model(n_layers=1, smeared_keys=True)
    attention = model.blocks[0].attn
    assert attention.smear is not None
    x, positions = torch.randn(2, 7, 32), model.positions[:7]
    with torch.no_grad():
        attention.smear.fill_(100.0)  # a share of one: plain keys
        _, plain = attention.queries_keys(x, positions)
        attention.smear.fill_(0.0)  # a share of one half
        _, mixed = attention.queries_keys(x, positions)
    torch.testing.assert_close(mixed[:, :, 0], plain[:, :, 0])
    torch.testing.assert_close(mixed[:, :, 1:], (plain[:, :, 1:] + plain[:, :, :-1]) / 2)


def test_smeared_values_mix_each_value_and_no_key_with_the_one_before():
    attention = random_model(n_layers=1, smeared_values=True).blocks[0].attn
    assert attention.smear is None
    assert attention.smear_values is not None
    x = torch.randn(2, 7, 32)
    with torch.no_grad():
        attention.smear_values.fill_(100.0)  # a share of one: plain values
        plain = attention.values(x)
        attention.smear_values.fill_(0.0)  # a share of one half
        mixed = attention.values(x)
    torch.testing.assert_close(mixed[:, :, 0], plain[:, :, 0])
    torch.testing.assert_close(mixed[:, :, 1:], (plain[:, :, 1:] + plain[:, :, :-1]) / 2)


def test_the_built_model_continues_repeats_exactly():
    start, *segment = torch.randperm(D_VOCAB, generator=torch.Generator().manual_seed(1))[:16]
    tokens = torch.stack([start, *(segment * 4)])[None]
    predicted = induction_model()(tokens).argmax(-1)
    assert torch.equal(predicted[0, 16:-1], tokens[0, 17:])


def test_snapshots_come_back_as_they_were(tmp_path, tokens):
    model = random_model(attn_only=False, smeared_keys=True)
    save_snapshot(model, tmp_path, step=20, tokens=2000)
    save_snapshot(model, tmp_path, step=3, tokens=300)
    assert [s.step for s in list_snapshots(tmp_path)] == [3, 20]
    restored = load_snapshot(tmp_path / "step-000020.safetensors")
    assert restored.spec == model.spec
    assert torch.equal(restored(tokens), model(tokens))


def test_snapshots_are_the_same_bytes_each_time(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        save_snapshot(random_model(), tmp_path / name, step=1, tokens=10)
    a, b = (tmp_path / name / "step-000001.safetensors" for name in ("a", "b"))
    assert a.read_bytes() == b.read_bytes()


@pytest.mark.parametrize("damage", [b"", b"no weights at all", None])
def test_a_damaged_snapshot_is_named(tmp_path, damage):
    save_snapshot(random_model(), tmp_path, step=1, tokens=10)
    path = tmp_path / "step-000001.safetensors"
    path.write_bytes(path.read_bytes()[:-100] if damage is None else damage)
    with pytest.raises(StudyError, match=r"step-000001\.safetensors: not a snapshot") as error:
        load_snapshot(path)
    assert "\n" not in str(error.value)


def test_a_folder_without_snapshots_is_named(tmp_path):
    with pytest.raises(StudyError, match="no snapshots"):
        list_snapshots(tmp_path)


def test_the_context_is_as_long_as_the_positions():
    assert random_model().positions.shape == (N_CTX, 32)
