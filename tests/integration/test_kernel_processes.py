"""Models in processes of their own: how they start, on threads, and compiled anew."""

import os
import subprocess
import sys
from pathlib import Path

START = """
import sys
from pathlib import Path
from induction.config import load_config
from induction.model.compute import set_up_torch
from induction.model.weights import list_snapshots, load_snapshot, save_snapshot
from induction.paths import find_study
from built_models import random_model
set_up_torch(load_config(find_study().params).compute)
folder = Path(sys.argv[1])
save_snapshot(random_model(), folder, 0, 0)
load_snapshot(list_snapshots(folder)[0].path)
print("torch._dynamo" in sys.modules)
"""


def test_a_stage_that_compiles_nothing_does_not_load_the_compiler(tmp_path):
    """It takes two seconds, and every stage is a process."""
    helpers = Path(__file__).parents[1] / "helpers"
    run = subprocess.run(
        [sys.executable, "-c", START, tmp_path],
        env={
            **os.environ,
            "PYTHONPATH": f"{helpers}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["False"]


SUBNORMAL = """
import torch
from induction.config import load_config
from induction.model.compute import set_up_torch
from induction.model.kernels import causal_patterns
from induction.paths import find_study
torch.ones(4) @ torch.ones(4)
set_up_torch(load_config(find_study().params).compute.model_copy(update={"threads": 2}))
tiny = torch.full((1 << 21,), 1e-30)
print(torch.count_nonzero(tiny * 1e-10).item())
q, k = torch.zeros(4, 1, 64, 4), torch.zeros(4, 1, 64, 4)
q[..., 0], k[:, :, ::2, 0] = 100.0, 1.0
found = causal_patterns(q, k)
print(torch.count_nonzero((found > 0) & (found < 1.2e-38)).item(), (found == 0).sum().item() > 0)
"""


def test_no_number_is_too_small_to_be_normal_on_any_thread():
    run = subprocess.run(
        [sys.executable, "-c", SUBNORMAL],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.split() == ["0", "0", "True"]


RUN = """
import hashlib, torch
from induction.model.kernels import causal_attention
torch.manual_seed(0)
q, k, v = (torch.randn(4, 256, 4, 16).transpose(1, 2).requires_grad_() for _ in range(3))
z = causal_attention(q, k, v)
z.backward(torch.linspace(-1, 1, z.numel()).view(z.shape))
found = [x.detach().contiguous().numpy().tobytes() for x in (z, q.grad, k.grad, v.grad)]
print(hashlib.sha256(b"".join(found)).hexdigest())
"""


def test_the_bits_do_not_depend_on_what_was_compiled_before(tmp_path):
    """Whatever part of the compiled code another process has left, as when both begin at once."""

    def digest() -> str:
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
        run = subprocess.run(
            [sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, check=True
        )
        return run.stdout

    alone = digest()
    callers = list(tmp_path.rglob("attention_kernel.backward-*"))
    assert callers
    for path in callers:
        path.unlink()
    assert digest() == alone
