"""Loaded by every Python of a trial, since this folder is on its module path.

Stages note that they took no time at all: how long they take is the one thing that differs between
runs, and the report tells it. With CHAOS_CLOCK_GOES_BACK the clock goes back a day, two seconds
after the start of a process.
"""

import os
import sys
import time

_time, _start = time.time, time.monotonic()
_BACK = 86400 if "CHAOS_CLOCK_GOES_BACK" in os.environ else 0


def _now() -> float:
    if sys._getframe(1).f_globals.get("__name__") == "induction.stages":
        return 0.0  # long before the process started, so that it took no time
    return _time() - (_BACK if time.monotonic() - _start > 2 else 0)


time.time = _now
