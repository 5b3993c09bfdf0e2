"""Imports a module that lies beside it, and finds itself by __file__."""

import pathlib
import sys

from sibling_model import FOLDER, loss_of

assert pathlib.Path(__file__).parent == FOLDER


def get_random_config_id(rng):
    return f"depth:{rng.randint(2, 10**6)}"


def run_identity(_argv):
    return "sibling"


if __name__ == "__main__":
    print(loss_of(sys.argv[1], int(sys.argv[3])))
