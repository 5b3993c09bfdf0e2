"""Keeps the contract: gradient descent on a line, in plain Python. Tests break one point of it."""

import argparse
import json
import os
import random
import sys
import time
from pathlib import Path


def get_random_config_id(rng):
    return f"lr:{10 ** rng.uniform(-3, -1):.5f}.momentum:{rng.uniform(0, 0.9):.3f}"


def run_identity(argv):
    return f"data:{make_parser().parse_known_args(['', *argv])[0].data}"


def make_parser():
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--gpu", type=int)
    parser.add_argument("--multi_gpu", action="store_true")
    parser.add_argument("--data", default="small")
    parser.add_argument("--seconds", type=float, default=0.0, help="per epoch")
    return parser


def checkpoint_of(args):
    return Path("checkpoints", f"{args.config_id}.json")


def load(path):
    if path.exists():
        return json.loads(path.read_text())
    return {"epoch": 0, "weight": 1.0, "speed": 0.0, "random": None}


def save(path, state):
    path.parent.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(state))
    os.replace(partial, path)


def train(state, epochs, args, config):
    rng = random.Random(7)
    if state["random"]:
        version, internal, gauss = state["random"]
        rng.setstate((version, tuple(internal), gauss))
    while state["epoch"] < epochs:
        time.sleep(args.seconds)
        gradient = state["weight"] + rng.gauss(0, 0.1)
        state["speed"] = config["momentum"] * state["speed"] - config["lr"] * gradient
        state["weight"] += state["speed"]
        state["epoch"] += 1
        state["random"] = rng.getstate()
        save(checkpoint_of(args), state)
    return state


def main():
    args = make_parser().parse_args()
    pairs = dict(part.split(":") for part in args.config_id.replace(".m", " m").split())
    config = {name: float(value) for name, value in pairs.items()}
    config = {"lr": config["lr"], "momentum": config["momentum"]}
    state = load(checkpoint_of(args))
    print(f"{sys.argv[0]} goes on from epoch {state['epoch']}")
    state = train(state, args.epochs, args, config)
    print(state["weight"] ** 2)


if __name__ == "__main__":
    main()
