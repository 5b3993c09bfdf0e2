"""myexp: a LightGBM experiment for `hbtrack run`. It works as it is; make yours what is TODO.

hbtrack calls it as `python myexp.py CONFIG_ID --epochs N --gpu G [your own arguments]`. The numbers
in brackets are the points of the contract: `hbtrack check myexp.py` tests them.
"""

import argparse
import hashlib
import json
import os
import re
from pathlib import Path

import lightgbm
import numpy as np

ROUNDS = 5  # of boosting make an epoch


def get_random_config_id(rng):
    """(4) Sample a config; `rng`, a numpy.random.RandomState, is all that may be random."""
    lr = 10 ** rng.uniform(-2, 0)  # TODO: what is searched. This is log-uniform from 0.01 to 1
    num_leaves = rng.choice([7, 15, 31, 63])
    bagging = rng.uniform(0.5, 1)
    return f"learning_rate:{lr:.3g}.num_leaves:{num_leaves}.bagging_fraction:{bagging:.2f}"


def get_config(config_id):
    """The way back: what is trained is what the id says. Reports show it, too."""
    texts = dict(part.split(":", 1) for part in re.split(r"\.(?=\w+:)", config_id))
    return {
        "learning_rate": float(texts["learning_rate"]),
        "num_leaves": int(texts["num_leaves"]),
        "bagging_fraction": float(texts["bagging_fraction"]),
    }


def make_parser():
    """What hbtrack passes, then your own arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")  # (6)
    parser.add_argument("--epochs", type=int, default=1)  # (2) in all, those of before included
    parser.add_argument("--gpu", type=int, default=0)  # (9) not used: this trains on the CPU
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
    """TODO: your data, as x and y to train with, x and y to judge by."""
    rng = np.random.RandomState(seed)
    x = rng.uniform(-1, 1, (1500, 6))
    y = np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2] + rng.normal(0, 0.1, 1500)
    return x[:1000], y[:1000], x[1000:], y[1000:]


def loss_of(booster, x, y):
    """TODO: what is minimised. Here the root of the mean squared error."""
    return float(np.sqrt(np.mean((booster.predict(x) - y) ** 2)))


def main():
    """Train a config up to --epochs. (10) Errors are not caught: a traceback, and status 1."""
    args = make_parser().parse_args()
    # TODO: the objective. hbtrack's workers run at once: a thread is enough for each.
    params = {"objective": "regression", "num_threads": 1, "deterministic": True, "verbose": -1}
    params |= {"bagging_freq": 1, **get_config(args.config_id)}
    x_train, y_train, x_test, y_test = load_data(args.seed)
    state = {"trees": None, "losses": []}  # a loss for each epoch that was trained
    path = checkpoint_path(args)
    if path.exists():  # (8)
        state = json.loads(path.read_text())
    while len(state["losses"]) < args.epochs:  # (2)
        # What is random in an epoch follows from its number. So there is no generator to save,
        # and training that was interrupted gives exactly what training at a stretch gives.
        epoch = len(state["losses"]) + 1
        params["seed"] = 1_000_000 * args.seed + epoch
        trees = state["trees"] and lightgbm.Booster(model_str=state["trees"])
        data = lightgbm.Dataset(x_train, y_train)
        booster = lightgbm.train(params, data, num_boost_round=ROUNDS, init_model=trees)
        state["trees"] = booster.model_to_string()
        state["losses"].append(loss_of(booster, x_test, y_test))
        save(state, path)  # (7)
        print(f"epoch {epoch}: {state['losses'][-1]}", flush=True)
    print(state["losses"][args.epochs - 1])  # (3) last, alone, not rounded


if __name__ == "__main__":  # (1) hbtrack imports this file to call the functions above
    main()
