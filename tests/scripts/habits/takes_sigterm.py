"""Installs a SIGTERM handler at import that prints where it is and leaves politely.

Where there is a fifo `ready`, it says so there and waits to be ended.
"""

import os
import signal
import sys


def stop(_number, _frame):
    print(0.0001, flush=True)
    sys.exit(0)


signal.signal(signal.SIGTERM, stop)


def get_random_config_id(rng):
    return f"x:{rng.randint(10**9)}"


def run_identity(_argv):
    return "polite"


if __name__ == "__main__":
    if os.path.exists("ready"):
        with open("ready", "w") as fifo:
            fifo.write("ready\n")
        signal.pause()
    print(0.5)
