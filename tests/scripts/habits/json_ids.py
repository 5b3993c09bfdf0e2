"""Its ids are JSON with spaces, quotes and newlines."""

import argparse
import json


def get_random_config_id(rng):
    config = {"lr": rng.uniform(0, 1), "note": 'it\'s "so"\n', "layers": [64, rng.randint(99)]}
    return json.dumps(config, indent=1)


def get_config(config_id):
    return json.loads(config_id)


def run_identity(argv):
    return json.dumps({"args": argv})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id", type=json.loads)
    parser.add_argument("--epochs", type=int)
    args, _ = parser.parse_known_args()
    assert args.config_id["note"] == 'it\'s "so"\n'
    print(args.config_id["lr"] / args.epochs)
