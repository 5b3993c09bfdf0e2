"""myexp: an experiment for `hbtrack run`. It works as it is; make yours what is TODO.

hbtrack calls it as `python myexp.py CONFIG_ID --epochs N --gpu G [your own arguments]`. The numbers
in brackets are the points of the contract: `hbtrack check myexp.py` tests them.
"""

import argparse
import hashlib
import json
import os
import random
import re
from pathlib import Path


def get_random_config_id(rng):
    """(4) Sample a config; `rng`, a numpy.random.RandomState, is all that may be random."""
    lr = 10 ** rng.uniform(-3, 0)  # TODO: what is searched. This is log-uniform from 0.001 to 1
    batch_size = rng.choice([4, 8, 16, 32])
    return f"lr:{lr:.3g}.batch_size:{batch_size}"


def get_config(config_id):
    """The way back: what is trained is what the id says. Reports show it, too."""
    texts = dict(part.split(":", 1) for part in re.split(r"\.(?=\w+:)", config_id))
    return {"lr": float(texts["lr"]), "batch_size": int(texts["batch_size"])}


def make_parser():
    """What hbtrack passes, then your own arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")  # (6)
    parser.add_argument("--epochs", type=int, default=1)  # (2) in all, those of before included
    parser.add_argument("--gpu", type=int, default=0)  # (9) there is nothing here to put on it
    parser.add_argument("--multi_gpu", action="store_true")
    parser.add_argument("--seed", type=int, default=0)  # TODO: your own arguments
    return parser


def run_identity(argv):
    """(5) Name the experiment that your own arguments select; its search is kept by this name."""
    return identity(make_parser().parse_known_args(["", *argv])[0])


def identity(args):
    """TODO: another name for whatever gives other losses."""
    return f"myexp.seed:{args.seed}"


def checkpoint_path(args):
    """(7) In the folder that hbtrack keeps for this config. Run by hand, in one named by a hash."""
    name = hashlib.sha256(f"{identity(args)} {args.config_id}".encode()).hexdigest()[:32]
    folder = os.environ.get("HBTRACK_CHECKPOINT", Path("checkpoints", name))
    return Path(folder, "checkpoint.json")


def save(state, path):
    """(7) Write beside and rename: a kill at any moment leaves one whole checkpoint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(state))
    partial.replace(path)


def load_data(seed):
    """TODO: your data. Here points (x, y) near a line: half to train with, half to judge by."""
    rng = random.Random(seed)
    points = [(x / 100, 2 * x / 100 - 1 + rng.gauss(0, 0.1)) for x in range(-100, 100)]
    return points[::2], points[1::2]


def train_one_epoch(weights, points, lr, batch_size, rng):
    """TODO: your training. Here stochastic gradient descent, which changes `weights`."""
    points = rng.sample(points, len(points))
    for start in range(0, len(points), batch_size):
        batch = points[start : start + batch_size]
        errors = [(weights[0] * x + weights[1] - y, x) for x, y in batch]
        weights[0] -= lr * sum(error * x for error, x in errors) / len(batch)
        weights[1] -= lr * sum(error for error, x in errors) / len(batch)


def loss_of(weights, points):
    """TODO: what is minimised."""
    return sum((weights[0] * x + weights[1] - y) ** 2 for x, y in points) / len(points)


def main():
    """Train a config up to --epochs. (10) Errors are not caught: a traceback, and status 1."""
    args = make_parser().parse_args()
    config = get_config(args.config_id)
    training, validation = load_data(args.seed)
    path = checkpoint_path(args)
    state = {"weights": [0.0, 0.0], "losses": []}  # a loss for each epoch that was trained
    if path.exists():  # (8)
        state = json.loads(path.read_text())
    while len(state["losses"]) < args.epochs:  # (2)
        epoch = len(state["losses"]) + 1
        # What is random in an epoch follows from its number. So there is no generator to save,
        # and training that was interrupted gives exactly what training at a stretch gives.
        rng = random.Random(f"{args.seed} {epoch}")
        train_one_epoch(state["weights"], training, **config, rng=rng)
        state["losses"].append(loss_of(state["weights"], validation))
        save(state, path)  # (7) of short epochs, after every tenth and the last will do
        print(f"epoch {epoch}: {state['losses'][-1]}", flush=True)
    print(state["losses"][args.epochs - 1])  # (3) last, alone, not rounded


if __name__ == "__main__":  # (1) hbtrack imports this file to call the functions above
    main()
