"""Parses its arguments at module level, all of them required."""

import argparse

parser = argparse.ArgumentParser()
parser.add_argument("config_id")
parser.add_argument("--epochs", type=int, required=True)
parser.add_argument("--gpu", type=int, required=True)
parser.add_argument("--multi_gpu", action="store_true")
parser.add_argument("--model", required=True)
args = parser.parse_args()


def get_random_config_id(rng):
    return f"lr:{rng.uniform(0.001, 0.1):.6f}"


def run_identity(_argv):
    return f"model:{args.model}"


if __name__ == "__main__":
    print(float(args.config_id.removeprefix("lr:")) + 1 / args.epochs)
