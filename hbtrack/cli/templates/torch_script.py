"""myexp: a PyTorch experiment for `hbtrack run`. It works as it is; make yours what is TODO.

hbtrack calls it as `python myexp.py CONFIG_ID --epochs N --gpu G [your own arguments]`. The numbers
in brackets are the points of the contract: `hbtrack check myexp.py` tests them.
"""

import argparse
import hashlib
import os
import re
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def get_random_config_id(rng):
    """(4) Sample a config; `rng`, a numpy.random.RandomState, is all that may be random."""
    lr = 10 ** rng.uniform(-3, 0)  # TODO: what is searched. This is log-uniform from 0.001 to 1
    dropout = rng.uniform(0, 0.5)
    batch_size = rng.choice([16, 32, 64])
    return f"lr:{lr:.3g}.dropout:{dropout:.2f}.batch_size:{batch_size}"


def get_config(config_id):
    """The way back: what is trained is what the id says. Reports show it, too."""
    texts = dict(part.split(":", 1) for part in re.split(r"\.(?=\w+:)", config_id))
    lr, dropout = float(texts["lr"]), float(texts["dropout"])
    return {"lr": lr, "dropout": dropout, "batch_size": int(texts["batch_size"])}


def make_parser():
    """What hbtrack passes, then your own arguments."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")  # (6)
    parser.add_argument("--epochs", type=int, default=1)  # (2) in all, those of before included
    parser.add_argument("--gpu", type=int, default=0)  # (9)
    parser.add_argument("--multi_gpu", action="store_true")  # (9)
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
    return Path(folder, "checkpoint.pt")


def save(state, path):
    """(7) Write beside and rename: a kill at any moment leaves one whole checkpoint."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def load_data(seed):
    """TODO: your datasets, one to train with and one to judge by. Here: is x inside of a ball?"""
    x = torch.randn(1200, 8, generator=torch.Generator().manual_seed(seed))
    y = (x.square().sum(1) < 7).long()
    return TensorDataset(x[:800], y[:800]), TensorDataset(x[800:], y[800:])


def make_model(dropout):
    """TODO: your model."""
    return nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Dropout(dropout), nn.Linear(64, 2))


def train_one_epoch(model, loader, optimizer, device):
    """TODO: your training."""
    model.train()
    for x, y in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x.to(device)), y.to(device)).backward()
        optimizer.step()


@torch.no_grad()
def loss_of(model, dataset, device):
    """TODO: what is minimised."""
    model.eval()
    batches = DataLoader(dataset, batch_size=256)
    sums = [
        nn.functional.cross_entropy(model(x.to(device)), y.to(device), reduction="sum").item()
        for x, y in batches
    ]
    return sum(sums) / len(dataset)


def main():
    """Train a config up to --epochs. (10) Errors are not caught: a traceback, and status 1."""
    args = make_parser().parse_args()
    config = get_config(args.config_id)
    device = torch.device(f"cuda:{args.gpu}" if torch.cuda.is_available() else "cpu")  # (9)
    torch.manual_seed(args.seed)  # for the first weights
    training, validation = load_data(args.seed)
    model = make_model(config["dropout"]).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=config["lr"], momentum=0.9)
    # A schedule must not need to know the last epoch: a config that is promoted gets more of them.
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.95)
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    losses = []  # one for each epoch that was trained
    path = checkpoint_path(args)
    if path.exists():  # (8)
        state = torch.load(path, map_location=device, weights_only=True)
        losses = state.pop("losses")
        for name, part_state in state.items():
            parts[name].load_state_dict(part_state)
    all_gpus = args.multi_gpu and torch.cuda.device_count() > 1
    trained = nn.DataParallel(model) if all_gpus else model
    while len(losses) < args.epochs:  # (2)
        # What is random in an epoch (order, dropout) follows from its number. So there is no
        # generator to save, and going on gives exactly what training at a stretch gives.
        epoch = len(losses) + 1
        torch.manual_seed(1_000_000 * args.seed + epoch)
        loader = DataLoader(training, config["batch_size"], shuffle=True)
        train_one_epoch(trained, loader, optimizer, device)
        scheduler.step()
        losses.append(loss_of(model, validation, device))
        states = {name: part.state_dict() for name, part in parts.items()}
        save({**states, "losses": losses}, path)  # (7)
        print(f"epoch {epoch}: {losses[-1]}", flush=True)
    print(losses[args.epochs - 1])  # (3) last, alone, not rounded


if __name__ == "__main__":  # (1) hbtrack imports this file to call the functions above
    main()
