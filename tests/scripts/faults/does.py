"""Config N does what the script's N-th argument says, in Python; those beyond print 1000 + N.

That code finds `config` and `epochs`, and a few ways to misbehave.
"""

import ctypes  # noqa: F401 - for the arguments
import itertools
import os
import resource
import signal  # noqa: F401 - for the arguments
import subprocess  # noqa: F401 - for the arguments
import sys
import time

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
counted = itertools.count()


def get_random_config_id(_rng):
    return str(next(counted))


def run_identity(_argv):
    return "does"


def first(what):
    """Whether this config has not come here before."""
    try:
        os.close(os.open(f"{what}-{config}", os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def ready():
    """Say so to the test."""
    with open("ready.partial", "w") as file:
        file.write(f"{os.getpid()}\n")
    os.rename("ready.partial", "ready")


def left():
    """The processes noted by `note` that still live."""
    with open("noted", "a+") as file:
        file.seek(0)
        return [line for line in file if is_alive(line.strip())]


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def note(pid):
    with open("noted", "a") as file:
        file.write(f"{pid}\n")


def daemonise(*, closes, clears):
    """A daemon made by the book, perhaps without open files, perhaps without environment."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        with open(reading) as pipe:
            note(int(pipe.readline()))
            pipe.read()  # until the daemon has closed it, or has become another program
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    os.write(writing, f"{os.getpid()}\n".encode())
    marked = os.path.abspath("sleep")
    os.chdir("/")
    if closes:
        os.closerange(0, writing)
        os.closerange(writing + 1, 256)
    if clears:
        os.execve("/bin/sleep", [marked, "1000"], {})
    os.close(writing)
    time.sleep(1000)
    os._exit(0)


if __name__ == "__main__":
    _, config, _, epochs, _, _, *codes = sys.argv
    config, epochs = int(config), int(epochs)
    exec(codes[config] if config < len(codes) else f"print({1000 + config})")
