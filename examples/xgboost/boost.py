"""Diabetes progress with XGBoost; ten rounds of boosting are an epoch."""

import argparse
import hashlib
import json
import os
import re
from pathlib import Path

import xgboost
from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

ROUNDS = 10


def get_random_config_id(rng):
    """The parameters by the names that XGBoost has for them."""
    eta, reg_lambda = 10 ** rng.uniform(-2.5, 0), 10 ** rng.uniform(-2, 2)
    depth, subsample = rng.randint(1, 8), rng.uniform(0.4, 1)
    return f"eta:{eta:.3g}.lambda:{reg_lambda:.3g}.max_depth:{depth}.subsample:{subsample:.2f}"


def get_config(config_id):
    """What the id describes."""
    texts = dict(part.split(":", 1) for part in re.split(r"\.(?=\w+:)", config_id))
    numbers = {name: float(texts[name]) for name in ("eta", "lambda", "subsample")}
    return {**numbers, "max_depth": int(texts["max_depth"])}


def make_parser():
    """What hbtrack passes, then what is this experiment's own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--multi_gpu", action="store_true")
    parser.add_argument("--booster", choices=["gbtree", "dart"], default="gbtree")
    return parser


def run_identity(argv):
    """Each booster has a search of its own."""
    return identity(make_parser().parse_known_args(["", *argv])[0])


def identity(args):
    """The name of the search."""
    return f"diabetes.booster:{args.booster}"


def load_data():
    """442 patients that come with scikit-learn; a third to judge by."""
    x, y = load_diabetes(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=1 / 3, random_state=0)
    return xgboost.DMatrix(x_train, y_train), xgboost.DMatrix(x_test, y_test)


def boost(booster, params, training, validation):
    """Some rounds more; the booster, and its loss."""
    result = {}
    evals = {"evals": [(validation, "test")], "evals_result": result, "verbose_eval": False}
    booster = xgboost.train(params, training, ROUNDS, xgb_model=booster, **evals)
    return booster, result["test"]["rmse"][-1]


def main():
    """Train a config up to --epochs, going on from its checkpoint."""
    args = make_parser().parse_args()
    params = {"booster": args.booster, "nthread": 1, **get_config(args.config_id)}
    training, validation = load_data()
    name = hashlib.sha256(f"{identity(args)} {args.config_id}".encode()).hexdigest()[:32]
    by_hand = Path("checkpoints", name)  # a hash: an id may be too long for a name
    checkpoint = Path(os.environ.get("HBTRACK_CHECKPOINT", by_hand), "checkpoint.ubj")
    booster, losses = None, []
    if checkpoint.exists():
        booster = xgboost.Booster(model_file=checkpoint)
        losses = json.loads(booster.attr("losses"))
    while len(losses) < args.epochs:
        params["seed"] = len(losses)  # what is random in an epoch follows from its number
        booster, loss = boost(booster, params, training, validation)
        losses.append(loss)
        print(f"epoch {len(losses)}: {loss:.4f}", flush=True)
        booster.set_attr(losses=json.dumps(losses))
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = checkpoint.with_suffix(".partial")
        partial.write_bytes(booster.save_raw("ubj"))
        partial.replace(checkpoint)
    print(losses[args.epochs - 1])


if __name__ == "__main__":
    main()
