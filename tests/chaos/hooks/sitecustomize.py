"""Loaded by every Python of a trial, since this folder is on its module path.

Stages note that they took no time at all: how long they take is the one thing that differs between
runs, and the report tells it. With CHAOS_CLOCK_GOES_BACK the clock goes back a day, two seconds
after the start of a process.
"""

import os
import sys
import time

_perf_counter, _time, _start = time.perf_counter, time.time, time.monotonic()


def _no_duration() -> float:
    stage = sys._getframe(1).f_globals.get("__name__") == "induction.stages"
    return 0.0 if stage else _perf_counter()


def _set_back() -> float:
    return _time() - (86400 if time.monotonic() - _start > 2 else 0)


time.perf_counter = _no_duration
if "CHAOS_CLOCK_GOES_BACK" in os.environ:
    time.time = _set_back
