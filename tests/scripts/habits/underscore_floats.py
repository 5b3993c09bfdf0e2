"""Its ids are floats between underscores, in whatever notation str() gives them."""

import sys


def get_random_config_id(rng):
    return "_".join(str(value) for value in (10 ** rng.uniform(-9, -1), rng.randint(512), 1e16))


def get_config(config_id):
    return [float(part) for part in config_id.split("_")]


def run_identity(argv):
    return "_".join(["underscores", *argv])


if __name__ == "__main__":
    lr, units, _ = get_config(sys.argv[1])
    print(f"{lr * units:.3e}")
