"""Names its experiment after the host, the user's arguments and a path."""

import os
import platform
import sys


def get_random_config_id(rng):
    return f"momentum:{rng.random_sample()}"


def run_identity(argv):
    return os.path.join(platform.node(), *argv)


if __name__ == "__main__":
    print(float(sys.argv[1].split(":")[1]))
