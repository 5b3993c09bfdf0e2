"""Handwritten digits with a small network of scikit-learn, trained by partial_fit."""

import argparse
import hashlib
import os
import pickle
import re
import warnings
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier


def get_random_config_id(rng):
    """A step size and a penalty, log-uniform; a batch size and a width, one of a few."""
    lr, alpha = 10 ** rng.uniform(-4, -1), 10 ** rng.uniform(-6, 0)
    batch_size, hidden = rng.choice([8, 16, 32, 64]), rng.choice([16, 32, 64, 128])
    return f"lr:{lr:.3g}.alpha:{alpha:.3g}.batch_size:{batch_size}.hidden:{hidden}"


def get_config(config_id):
    """What the id describes."""
    texts = dict(part.split(":", 1) for part in re.split(r"\.(?=\w+:)", config_id))
    numbers = {"lr": float(texts["lr"]), "alpha": float(texts["alpha"])}
    return {**numbers, "batch_size": int(texts["batch_size"]), "hidden": int(texts["hidden"])}


def make_parser():
    """What hbtrack passes, then what is this experiment's own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--multi_gpu", action="store_true")
    parser.add_argument("--model", choices=["mlp", "linear"], default="mlp")
    return parser


def run_identity(argv):
    """Each model has a search of its own."""
    return identity(make_parser().parse_known_args(["", *argv])[0])


def identity(args):
    """The name of the search."""
    return f"digits.model:{args.model}"


def new_model(kind, lr, alpha, batch_size, hidden):
    """A model that has seen nothing; the linear one has no use for a batch size and a width."""
    if kind == "linear":
        return SGDClassifier("log_loss", alpha=alpha, eta0=lr, learning_rate="constant")
    return MLPClassifier(hidden, alpha=alpha, learning_rate_init=lr, batch_size=batch_size)


def load_data():
    """1797 pictures of 8x8 grey values that come with scikit-learn; a third to judge by."""
    x, y = load_digits(return_X_y=True)
    x_train, x_test, y_train, y_test = train_test_split(x / 16, y, test_size=1 / 3, random_state=0)
    return x_train, y_train, x_test, y_test


def train_one_epoch(model, x, y, epoch):
    """Go through the data once. All that is random follows from the number of the epoch."""
    order = np.random.RandomState(epoch).permutation(len(x))
    model.set_params(random_state=epoch)
    model.partial_fit(x[order], y[order], classes=range(10))


def main():
    """Train a config up to --epochs, going on from its checkpoint."""
    warnings.filterwarnings("error", category=RuntimeWarning)  # overflow: a failure, at once
    args = make_parser().parse_args()
    config = get_config(args.config_id)
    x_train, y_train, x_test, y_test = load_data()
    name = hashlib.sha256(f"{identity(args)} {args.config_id}".encode()).hexdigest()[:32]
    by_hand = Path("checkpoints", name)  # a hash: an id may be too long for a name
    checkpoint = Path(os.environ.get("HBTRACK_CHECKPOINT", by_hand), "checkpoint.pickle")
    model, losses = new_model(args.model, **config), []
    if checkpoint.exists():
        model, losses = pickle.loads(checkpoint.read_bytes())
    while len(losses) < args.epochs:
        train_one_epoch(model, x_train, y_train, len(losses) + 1)
        losses.append(float(log_loss(y_test, model.predict_proba(x_test))))
        print(f"epoch {len(losses)}: {losses[-1]:.4f}", flush=True)
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = checkpoint.with_suffix(".partial")
        partial.write_bytes(pickle.dumps((model, losses)))
        partial.replace(checkpoint)
    print(losses[args.epochs - 1])


if __name__ == "__main__":
    main()
