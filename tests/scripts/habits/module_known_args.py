"""Parses what it knows at module level; knows no --gpu and no --multi_gpu."""

import argparse

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("config_id", nargs="?")
parser.add_argument("--epochs", type=int, default=1)
args, unknown = parser.parse_known_args()


def get_random_config_id(rng):
    return f"units:{rng.randint(1, 10**6)}"


def run_identity(argv):
    return "known " + " ".join(argv)


if __name__ == "__main__":
    print(1 / (int(args.config_id.split(":")[1]) + args.epochs))
