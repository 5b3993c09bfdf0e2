"""Takes its time to be imported, in the fashion of big frameworks."""

import time

time.sleep(0.1)


def get_random_config_id(rng):
    return f"x:{rng.randint(10**9)}"


def run_identity(_argv):
    return "slow"


if __name__ == "__main__":
    print(0.5)
