"""Asks questions on stdin, while it is imported and while it runs."""

import sys

print("Overwrite the checkpoints?")
try:
    answer = input()
except EOFError:
    answer = "no"


def get_random_config_id(rng):
    return f"x:{rng.randint(10**9)}{sys.stdin.read()}"


def run_identity(_argv):
    return f"overwrite: {answer}"


if __name__ == "__main__":
    assert sys.stdin.read() == ""
    print(0.5)
