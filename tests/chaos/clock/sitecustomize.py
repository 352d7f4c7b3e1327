"""On the module path of a trial: two seconds after the start, Python's clock goes back a day."""

import time

_real, _start = time.time, time.monotonic()


def _set_back() -> float:
    return _real() - (86400 if time.monotonic() - _start > 2 else 0)


time.time = _set_back
