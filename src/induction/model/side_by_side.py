"""Compiled kernels on as many threads as PyTorch may use: each takes a share of the examples."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor


def side_by_side(kernel: Callable[..., None], *arrays: Tensor) -> None:
    """Call a kernel that leaves the interpreter free and fills some of its arrays.

    All arrays are cut along their first dimension, of the same length in all; what the kernel makes
    of one example must not depend on others, so that the results are those of one call.
    """
    given = [array.detach().numpy() for array in arrays]
    threads = min(torch.get_num_threads(), len(given[0]))
    if threads < 2:
        kernel(*given)
        return
    edges = np.linspace(0, len(given[0]), threads + 1).astype(int)
    first, *others = ([array[a:b] for array in given] for a, b in pairwise(edges.tolist()))
    running = [_pool(threads).submit(kernel, *share) for share in others]
    kernel(*first)
    for one in running:
        one.result()


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads - 1)
