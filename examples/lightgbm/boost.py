"""Breast cancer with LightGBM; ten rounds of boosting are an epoch."""

import argparse
import hashlib
import json
import os
import re
from pathlib import Path

import lightgbm
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

ROUNDS = 10


def get_random_config_id(rng):
    """The parameters by the names that LightGBM has for them."""
    rate, l2 = 10 ** rng.uniform(-2.5, 0), 10 ** rng.uniform(-3, 2)
    leaves, bagging = rng.choice([3, 7, 15, 31]), rng.uniform(0.4, 1)
    rates = f"learning_rate:{rate:.3g}.lambda_l2:{l2:.3g}"
    return f"{rates}.num_leaves:{leaves}.bagging_fraction:{bagging:.2f}"


def get_config(config_id):
    """What the id describes."""
    texts = dict(part.split(":", 1) for part in re.split(r"\.(?=\w+:)", config_id))
    names = ("learning_rate", "lambda_l2", "bagging_fraction")
    return {**{name: float(texts[name]) for name in names}, "num_leaves": int(texts["num_leaves"])}


def make_parser():
    """What hbtrack passes, then what is this experiment's own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--multi_gpu", action="store_true")
    parser.add_argument("--boosting", choices=["gbdt", "goss"], default="gbdt")
    return parser


def run_identity(argv):
    """Each kind of boosting has a search of its own."""
    return identity(make_parser().parse_known_args(["", *argv])[0])


def identity(args):
    """The name of the search."""
    return f"cancer.boosting:{args.boosting}"


def load_data():
    """569 tumours that come with scikit-learn; a third to judge by."""
    x, y = load_breast_cancer(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=1 / 3, random_state=0)
    return x_train, y_train, x_test, y_test


def main():
    """Train a config up to --epochs, going on from its checkpoint."""
    args = make_parser().parse_args()
    params = {"objective": "binary", "num_threads": 1, "deterministic": True, "verbose": -1}
    params |= {"boosting": args.boosting, **get_config(args.config_id)}
    params["bagging_freq"] = 1 if args.boosting == "gbdt" else 0  # goss samples by itself
    x_train, y_train, x_test, y_test = load_data()
    name = hashlib.sha256(f"{identity(args)} {args.config_id}".encode()).hexdigest()[:32]
    by_hand = Path("checkpoints", name)  # a hash: an id may be too long for a name
    checkpoint = Path(os.environ.get("HBTRACK_CHECKPOINT", by_hand), "checkpoint.json")
    state = {"trees": None, "losses": []}
    if checkpoint.exists():
        state = json.loads(checkpoint.read_text())
    losses = state["losses"]
    while len(losses) < args.epochs:
        params["seed"] = len(losses)  # what is random in an epoch follows from its number
        booster = lightgbm.train(
            params,
            lightgbm.Dataset(x_train, y_train),
            ROUNDS,
            init_model=state["trees"] and lightgbm.Booster(model_str=state["trees"]),
        )
        losses.append(float(log_loss(y_test, booster.predict(x_test))))
        state["trees"] = booster.model_to_string()
        print(f"epoch {len(losses)}: {losses[-1]:.4f}", flush=True)
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = checkpoint.with_suffix(".partial")
        partial.write_text(json.dumps(state))
        partial.replace(checkpoint)
    print(losses[args.epochs - 1])


if __name__ == "__main__":
    main()
