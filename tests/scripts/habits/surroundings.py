"""Keeps what it finds around itself in `surroundings`, one JSON document for each call."""

import json
import os
import sys


def get_random_config_id(rng):
    return f"x:{rng.randint(10**9)}"


def run_identity(_argv):
    return "surroundings"


if __name__ == "__main__":
    mask = os.umask(0)
    os.umask(mask)
    found = {
        "environment": {os.fsdecode(k): os.fsdecode(v) for k, v in os.environb.items()},
        "folder": os.getcwd(),
        "umask": mask,
        "argv": sys.argv,
        "path": sys.path[0],
        "leads_its_session": os.getsid(0) == os.getpgid(0) == os.getpid(),
        "stdin": sys.stdin.read(),
    }
    with open("surroundings", "a") as file:
        file.write(json.dumps(found) + "\n")
    print(0.5)
