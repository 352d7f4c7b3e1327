"""A process around a stage that ends it when the runner is gone, in whatever way that died.

`python -m induction.runner.supervisor COMMAND ...` runs a command and exits with its status. Its
standard input is a pipe whose other end only the runner holds. When that end closes, the supervisor
kills its whole process group: the command, what that started, and itself.
"""

import os
import signal
import subprocess
import sys
import threading


def main() -> int:
    # A command ignores interrupts when what starts it does: a shell does for what it starts in the
    # background, and Ray's workers block them.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_kill_all_at_end_of_input, daemon=True).start()
    status = command.wait()
    return status if status >= 0 else 128 - status


def _kill_all_at_end_of_input() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
