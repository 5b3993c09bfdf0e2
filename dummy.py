"""A script that fits hbtrack: copy it and replace what is made up.

The "training" is arithmetic: a loss that depends on the config and the epochs alone. Slow configs
begin badly and may end well, so the ranking changes with the budget.
"""

import argparse
import hashlib
import json
import os
import time
from pathlib import Path

LEARNING_RATES = [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0]
BATCH_SIZES = [8, 16, 24, 32, 48, 64, 96, 128, 192, 256]


def get_random_config_id(rng):
    """Sample a configuration. Only 100 there are, so a big search meets some of them again."""
    return f"lr:{rng.choice(LEARNING_RATES)}.batch_size:{rng.choice(BATCH_SIZES)}"


def get_config(config_id):
    """The parameters that a config_id describes."""
    lr, batch_size = config_id.removeprefix("lr:").split(".batch_size:")
    return {"lr": float(lr), "batch_size": int(batch_size)}


def run_identity(argv):
    """Name the experiment that the arguments select: --model resnet is model:resnet."""
    return f"model:{make_parser().parse_known_args(['', *argv])[0].model}"


def make_parser():
    """Hbtrack's own arguments first, then those of this experiment."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int, default=1, help="in all, checkpoint included")
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--multi_gpu", action="store_true")
    parser.add_argument("--model", default="resnet")
    parser.add_argument("--epoch_seconds", type=float, default=0.0, help="to slow it down")
    parser.add_argument("--fail", type=float, default=0.05, help="share of configs that raise")
    return parser


def train_one_epoch(epoch, lr, batch_size, model):
    """The loss after this many epochs."""
    wiggle = int(hashlib.md5(f"{lr} {batch_size} {model}".encode()).hexdigest(), 16) % 1000 / 1000
    floor = 0.1 + 0.2 * abs(lr / 0.003 - 1) / (lr / 0.003 + 1) + 0.1 * wiggle
    speed = 0.05 + min(1.0, 8 * lr) * 16 / batch_size
    return floor + 2.0 / (1.0 + speed * epoch)


def main():
    """Train one configuration up to --epochs, going on from its checkpoint."""
    args = make_parser().parse_args()
    config = get_config(args.config_id)
    own = Path("checkpoints", f"{args.model}-{args.config_id}")  # when it is run by hand
    checkpoint = Path(os.environ.get("HBTRACK_CHECKPOINT", own), "state.json")
    state = (
        json.loads(checkpoint.read_text()) if checkpoint.exists() else {"epoch": 0, "loss": None}
    )
    print(f"training {config} on GPU {args.gpu} from epoch {state['epoch']}")
    draw = int(hashlib.md5(args.config_id.encode()).hexdigest(), 16) % 10_000 / 10_000
    if draw < args.fail:
        raise RuntimeError(f"loss is nan at learning rate {config['lr']}")
    while state["epoch"] < args.epochs:
        time.sleep(args.epoch_seconds)
        epoch = state["epoch"] + 1
        state = {"epoch": epoch, "loss": train_one_epoch(epoch, **config, model=args.model)}
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    partial = checkpoint.with_suffix(".partial")
    partial.write_text(json.dumps(state))
    os.replace(partial, checkpoint)  # never half a checkpoint, whenever this is killed
    print(state["loss"])


if __name__ == "__main__":
    main()
