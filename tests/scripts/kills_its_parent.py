"""Some configs kill the process that started them; the others take their time."""

import os
import sys
import time


def run_identity(_argv):
    return "parricide"


def get_random_config_id(rng):
    return f"x:{rng.randint(10**9)}"


def has_its_parent():
    """Another may have killed it already: then this one has a parent that is not hbtrack's."""
    with open(f"/proc/{os.getppid()}/cmdline", "rb") as file:
        return b"warden.py" in file.read()


if __name__ == "__main__":
    if int(sys.argv[1][2:]) % 5 == 0 and has_its_parent():
        os.kill(os.getppid(), 9)
    time.sleep(0.2)
    print(int(sys.argv[1][2:]) % 97)
