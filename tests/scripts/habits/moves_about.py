"""Changes its working directory, its umask and its own name, while it is imported and after."""

import os
import sys
import tempfile

os.umask(0o777)
os.chdir("/")
sys.argv[0] = "moves_about"


def get_random_config_id(rng):
    os.chdir(tempfile.gettempdir())
    return f"x:{rng.randint(10**9)}"


def run_identity(_argv):
    os.environ.clear()
    return "moves"


if __name__ == "__main__":
    os.chdir(tempfile.gettempdir())
    os.environ.clear()
    print(0.5)
