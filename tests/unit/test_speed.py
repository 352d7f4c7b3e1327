"""The benchmark of speed measures what it says."""

import contenders
import pytest
import speed
import torch
from torch.utils.flop_counter import FlopCounterMode

from induction.files import write_json


@pytest.mark.parametrize("attn_only", [True, False])
def test_the_written_count_of_operations_is_the_counted_one(attn_only):
    """PyTorch counts whole attention patterns, the written count causal ones."""
    model = contenders.Plain(contenders.Shape(attn_only).spec)
    tokens = contenders.batch()
    with FlopCounterMode(display=False) as counter:
        model(tokens[:, :-1], tokens[:, 1:].flatten()).backward()
    n_ctx, d, layers = contenders.N_CTX, contenders.D_MODEL, contenders.N_LAYERS
    by_kind = {str(kind): count for kind, count in counter.get_flop_counts()["Global"].items()}
    products = sum(count for kind, count in by_kind.items() if "attention" not in kind)
    causal = 3 * 2 * layers * 2 * d * (n_ctx + 1) // 2
    a_token = speed.flop_of_a_training_token(attn_only)
    assert a_token - causal == products / tokens[:, 1:].numel()


def test_a_turn_trains_as_many_tokens_as_the_rate_is_of():
    assert speed.TOKENS_A_TURN == contenders.STEPS * contenders.BATCH * contenders.N_CTX


def test_contenders_take_turns():
    with speed.Contender("matrix product", 1) as one:
        assert one.ready
        turns = [one.turn() for _ in range(2)]
    assert all(turn["seconds"] > 0 for turn in turns)


def test_what_does_not_run_is_no_row():
    with speed.Contender("nobody", 1) as missing:
        assert not missing.ready


def test_both_sides_of_a_comparison_do_the_same_work():
    """Our training set-up and the plain one have the same number of weights but for positions."""
    for attn_only in (True, False):
        shape = contenders.Shape(attn_only)
        plain = contenders.Plain(shape.spec)
        ours = contenders.random_model(shape)
        positions = contenders.N_CTX * contenders.D_MODEL
        biases = sum(p.numel() for n, p in plain.named_parameters() if n.endswith("bias"))
        norms = sum(p.numel() for n, p in ours.named_parameters() if n.endswith("bias"))
        assert biases == norms
        count = sum(p.numel() for p in plain.parameters()) - positions
        assert count == sum(p.numel() for p in ours.parameters())
    assert torch.get_default_dtype() == torch.float32


def test_rows_measured_again_take_the_place_of_the_earlier_ones():
    before = [{"what": "a", "peer": "x", "ratio": 1}, {"what": "b", "peer": None, "ratio": 2}]
    now = [{"what": "c", "peer": "x", "ratio": 3}, {"what": "a", "peer": "x", "ratio": 4}]
    rows = speed._renewed(before, now)
    assert [(row["what"], row["ratio"]) for row in rows] == [("a", 4), ("b", 2), ("c", 3)]


def test_the_runners_share_is_what_is_not_the_stages_own_work(tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "ROOT", tmp_path)
    assert speed.whole_study() == []
    paths = speed.StudyPaths(tmp_path)
    for stage, seconds in (("fetch", 6.0), ("prepare", 13.0)):
        write_json(paths.timing(stage), {"stage": stage, "seconds": seconds})
    run = {"seconds": 30.0, "jobs": 2, "stages": {"fetch": 8.0, "prepare": 12.0, "report": 5.0}}
    write_json(paths.last_run, run)
    assert [(row["ours"], row["unit"]) for row in speed.whole_study()] == [(30.0, "s"), (5.0, "%")]
    write_json(paths.last_run, {**run, "stages": {"prepare": 12.0}})
    assert speed.whole_study() == [], "a part of the study tells nothing of the whole"
