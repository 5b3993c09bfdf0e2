"""myexp: a scikit-learn experiment for `hbtrack run`. It works as it is; make yours what is TODO.

hbtrack calls it as `python myexp.py CONFIG_ID --epochs N --gpu G [your own arguments]`. The numbers
in brackets are the points of the contract: `hbtrack check myexp.py` tests them.
"""

import argparse
import hashlib
import os
import pickle
import re
from pathlib import Path

import numpy as np
from sklearn.datasets import make_classification
from sklearn.linear_model import SGDClassifier
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split


def get_random_config_id(rng):
    """(4) Sample a config; `rng`, a numpy.random.RandomState, is all that may be random."""
    lr = 10 ** rng.uniform(-5, -2)  # TODO: what is searched. This is log-uniform, 0.00001 to 0.01
    alpha = 10 ** rng.uniform(-6, -1)
    penalty = rng.choice(["l2", "l1", "elasticnet"])
    return f"lr:{lr:.3g}.alpha:{alpha:.3g}.penalty:{penalty}"


def get_config(config_id):
    """The way back: what is trained is what the id says. Reports show it, too."""
    texts = dict(part.split(":", 1) for part in re.split(r"\.(?=\w+:)", config_id))
    lr, alpha = float(texts["lr"]), float(texts["alpha"])
    return {"lr": lr, "alpha": alpha, "penalty": texts["penalty"]}


def make_parser():
    """What hbtrack passes, then your own arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")  # (6)
    parser.add_argument("--epochs", type=int, default=1)  # (2) in all, those of before included
    parser.add_argument("--gpu", type=int, default=0)  # (9) scikit-learn has no use for one
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
    return Path(folder, "checkpoint.pickle")


def save(state, path):
    """(7) Write beside and rename: a kill at any moment leaves one whole checkpoint.

    Pickle keeps any model exactly, its optimizer included. To unpickle is to run what the file
    says: read only files that you have written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(pickle.dumps(state))
    partial.replace(path)


def load_data(seed):
    """TODO: your data, as x and y to train with, x and y to judge by."""
    x, y = make_classification(2000, 20, n_informative=8, n_classes=3, random_state=seed)
    x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=seed)
    return x_train, y_train, x_test, y_test


def new_model(seed, lr, alpha, penalty):
    """TODO: your model, anything that has partial_fit."""
    settings = {"loss": "log_loss", "learning_rate": "constant", "eta0": lr}
    return SGDClassifier(**settings, alpha=alpha, penalty=penalty, random_state=seed)


def main():
    """Train a config up to --epochs. (10) Errors are not caught: a traceback, and status 1."""
    args = make_parser().parse_args()
    config = get_config(args.config_id)
    x_train, y_train, x_test, y_test = load_data(args.seed)
    path = checkpoint_path(args)
    state = {"model": new_model(args.seed, **config), "losses": []}  # a loss for each epoch trained
    if path.exists():  # (8)
        state = pickle.loads(path.read_bytes())
    model, losses = state["model"], state["losses"]
    while len(losses) < args.epochs:  # (2)
        # What is random in an epoch follows from its number. So there is no generator to save,
        # and training that was interrupted gives exactly what training at a stretch gives.
        epoch = len(losses) + 1
        order = np.random.RandomState([args.seed, epoch]).permutation(len(x_train))
        model.partial_fit(x_train[order], y_train[order], classes=np.unique(y_train))
        losses.append(float(log_loss(y_test, model.predict_proba(x_test))))
        save(state, path)  # (7)
        print(f"epoch {epoch}: {losses[-1]}", flush=True)
    print(losses[args.epochs - 1])  # (3) last, alone, not rounded


if __name__ == "__main__":  # (1) hbtrack imports this file to call the functions above
    main()
