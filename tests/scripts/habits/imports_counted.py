"""Counts in `imports` how often it is imported, and holds on while there is a file `hold`."""

import os
import time


def get_random_config_id(rng):
    return f"x:{rng.randint(10**9)}"


def run_identity(_argv):
    return "counted"


if __name__ == "__main__":
    if os.path.exists("hold"):
        time.sleep(1000)
    print(0.5)
else:
    with open("imports", "a") as file:
        file.write("imported\n")
