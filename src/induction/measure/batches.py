"""How many examples go through a model at once."""

from induction.model.interface import Shape

_PATTERN_BYTES = 1 << 29
_FLOAT = 4


def fitting_batch(spec: Shape, length: int, most: int) -> int:
    """Up to `most` examples, fewer where their patterns in all layers would take too much memory.

    length: tokens of an example.
    """
    of_one = _FLOAT * spec.n_layers * spec.n_heads * length**2
    return max(1, min(most, _PATTERN_BYTES // of_one))
