"""Leaves processes behind: a helper started at import, and a daemon of every evaluation.

Their numbers are in `pids`. An evaluation fails if one of an earlier evaluation is still there.
"""

import os
import subprocess
import sys
import time

helper = subprocess.Popen(["sleep", "1000"])


def get_random_config_id(rng):
    return f"x:{rng.randint(10**9)}"


def run_identity(_argv):
    note(helper.pid)
    return "leaves"


def note(pid):
    with open("pids", "a") as file:
        file.write(f"{pid}\n")


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def daemonise():
    """The number of a daemon made by the book: forked twice, own session, all files closed."""
    reading, writing = os.pipe()
    if os.fork():
        with open(reading) as pipe:
            os.close(writing)
            return int(pipe.readline())
    os.setsid()
    if os.fork():
        os._exit(0)
    os.write(writing, f"{os.getpid()}\n".encode())
    os.closerange(0, 256)
    time.sleep(1000)
    os._exit(0)


if __name__ == "__main__":
    with open("pids") as file:
        earlier = [int(line) for line in file]
    if any(map(is_alive, earlier[2:])):  # the first was left by the import, and noted twice
        sys.exit("something is still running")
    note(helper.pid)
    note(daemonise())
    print(0.5)
