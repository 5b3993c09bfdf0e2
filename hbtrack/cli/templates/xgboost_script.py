"""myexp: an XGBoost experiment for `hbtrack run`. It works as it is; make yours what is TODO.

hbtrack calls it as `python myexp.py CONFIG_ID --epochs N --gpu G [your own arguments]`. The numbers
in brackets are the points of the contract: `hbtrack check myexp.py` tests them.
"""

import argparse
import hashlib
import json
import os
import re
from pathlib import Path

import numpy as np
import xgboost

ROUNDS = 5  # of boosting make an epoch


def get_random_config_id(rng):
    """(4) Sample a config; `rng`, a numpy.random.RandomState, is all that may be random."""
    eta = 10 ** rng.uniform(-2, 0)  # TODO: what is searched. This is log-uniform from 0.01 to 1
    max_depth = rng.randint(2, 9)  # 2 to 8
    subsample = rng.uniform(0.5, 1)
    return f"eta:{eta:.3g}.max_depth:{max_depth}.subsample:{subsample:.2f}"


def get_config(config_id):
    """The way back: what is trained is what the id says. Reports show it, too."""
    texts = dict(part.split(":", 1) for part in re.split(r"\.(?=\w+:)", config_id))
    eta, subsample = float(texts["eta"]), float(texts["subsample"])
    return {"eta": eta, "max_depth": int(texts["max_depth"]), "subsample": subsample}


def make_parser():
    """What hbtrack passes, then your own arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")  # (6)
    parser.add_argument("--epochs", type=int, default=1)  # (2) in all, those of before included
    parser.add_argument("--gpu", type=int, default=0)  # (9)
    parser.add_argument("--multi_gpu", action="store_true")  # (9) a GPU is enough for a booster
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--seed", type=int, default=0)  # TODO: your own arguments
    return parser


def run_identity(argv):
    """(5) Name the experiment that your own arguments select; its search is kept by this name."""
    return identity(make_parser().parse_known_args(["", *argv])[0])


def identity(args):
    """TODO: another name for whatever gives other losses."""
    return f"myexp.device:{args.device}.seed:{args.seed}"


def checkpoint_path(args):
    """(7) In the folder that hbtrack keeps for this config. Run by hand, in one named by a hash."""
    name = hashlib.sha256(f"{identity(args)} {args.config_id}".encode()).hexdigest()[:32]
    folder = os.environ.get("HBTRACK_CHECKPOINT", Path("checkpoints", name))
    return Path(folder, "checkpoint.ubj")


def save(booster, losses, path):
    """(7) Write beside and rename: a kill at any moment leaves one whole checkpoint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    booster.set_attr(losses=json.dumps(losses))  # saved with the trees, so both are of one epoch
    partial.write_bytes(booster.save_raw("ubj"))
    partial.replace(path)


def load_data(seed):
    """TODO: your data, to train with and to judge by."""
    rng = np.random.RandomState(seed)
    x = rng.uniform(-1, 1, (1500, 6))
    y = np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2] + rng.normal(0, 0.1, 1500)
    return xgboost.DMatrix(x[:1000], y[:1000]), xgboost.DMatrix(x[1000:], y[1000:])


def main():
    """Train a config up to --epochs. (10) Errors are not caught: a traceback, and status 1."""
    args = make_parser().parse_args()
    device = f"cuda:{args.gpu}" if args.device == "cuda" else "cpu"  # (9)
    # TODO: the objective and the loss. hbtrack's workers run at once: a core is enough for each.
    params = {"objective": "reg:squarederror", "nthread": 1, "device": device}
    params |= get_config(args.config_id)
    training, validation = load_data(args.seed)
    booster, losses = None, []  # a loss for each epoch that was trained
    path = checkpoint_path(args)
    if path.exists():  # (8)
        booster = xgboost.Booster(model_file=path)
        losses = json.loads(booster.attr("losses"))
    while len(losses) < args.epochs:  # (2)
        # What is random in an epoch follows from its number. So there is no generator to save,
        # and training that was interrupted gives exactly what training at a stretch gives.
        epoch = len(losses) + 1
        params["seed"] = 1_000_000 * args.seed + epoch
        result = {}
        booster = xgboost.train(
            params,
            training,
            num_boost_round=ROUNDS,
            evals=[(validation, "validation")],
            evals_result=result,
            verbose_eval=False,
            xgb_model=booster,  # goes on with these trees
        )
        losses.append(result["validation"]["rmse"][-1])
        save(booster, losses, path)  # (7)
        print(f"epoch {epoch}: {losses[-1]}", flush=True)
    print(losses[args.epochs - 1])  # (3) last, alone, not rounded


if __name__ == "__main__":  # (1) hbtrack imports this file to call the functions above
    main()
