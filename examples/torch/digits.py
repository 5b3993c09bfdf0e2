"""Handwritten digits with PyTorch: a small ResNet, or a network without convolutions (--model)."""

import argparse
import hashlib
import os
import re
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset


def get_random_config_id(rng):
    """A step size and a decay, log-uniform; a batch size and a width, one of a few."""
    lr, decay = 10 ** rng.uniform(-3, 0), 10 ** rng.uniform(-6, -2)
    batch_size, width = rng.choice([32, 64, 128]), rng.choice([4, 8, 16])
    return f"lr:{lr:.3g}.decay:{decay:.3g}.batch_size:{batch_size}.width:{width}"


def get_config(config_id):
    """What the id describes."""
    texts = dict(part.split(":", 1) for part in re.split(r"\.(?=\w+:)", config_id))
    numbers = {"lr": float(texts["lr"]), "decay": float(texts["decay"])}
    return {**numbers, "batch_size": int(texts["batch_size"]), "width": int(texts["width"])}


def make_parser():
    """What hbtrack passes, then what is this experiment's own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--multi_gpu", action="store_true")
    parser.add_argument("--model", choices=["resnet", "mlp"], default="resnet")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def run_identity(argv):
    """Each model and seed has a search of its own."""
    return identity(make_parser().parse_known_args(["", *argv])[0])


def identity(args):
    """The name of the search."""
    return f"model:{args.model}.seed:{args.seed}"


class Block(nn.Module):
    """Two convolutions, and a way around them."""

    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(
            *(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)),
        )

    def forward(self, x):
        """A batch of pictures to one of the same shape."""
        return torch.relu(x + self.inner(x))


def make_model(kind, width):
    """From (batch, 1, 8, 8) to the scores of ten digits."""
    if kind == "mlp":
        hidden = [nn.Linear(64, 8 * width), nn.ReLU(), nn.Linear(8 * width, 8 * width), nn.ReLU()]
        return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(8 * width, 10))
    blocks = [nn.Conv2d(1, width, 3, padding=1), Block(width), nn.MaxPool2d(2), Block(width)]
    return nn.Sequential(*blocks, nn.Flatten(), nn.Linear(16 * width, 10))


def load_data():
    """1797 pictures that come with scikit-learn, in a fixed order; a third to judge by."""
    x, y = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
    x = (x.float() / 16).reshape(-1, 1, 8, 8)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    train, test = order[:1200], order[1200:]
    return TensorDataset(x[train], y[train]), TensorDataset(x[test], y[test])


def train_one_epoch(model, batches, optimizer, device):
    """Go through the data once."""
    model.train()
    for x, y in batches:
        optimizer.zero_grad()
        cross_entropy(model(x.to(device)), y.to(device)).backward()
        optimizer.step()


@torch.no_grad()
def loss_of(model, dataset, device):
    """The cross entropy of a whole dataset."""
    model.eval()
    x, y = dataset.tensors
    return cross_entropy(model(x.to(device)), y.to(device)).item()


def main():
    """Train a config up to --epochs, going on from its checkpoint."""
    args = make_parser().parse_args()
    config = get_config(args.config_id)
    device = torch.device(f"cuda:{args.gpu}" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(1)  # hbtrack's workers are what runs at once
    torch.manual_seed(args.seed)
    training, validation = load_data()
    model = make_model(args.model, config["width"]).to(device)
    optimizer = torch.optim.SGD(
        model.parameters(), config["lr"], momentum=0.9, weight_decay=config["decay"]
    )
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)  # knows no last epoch
    parts, losses = {"model": model, "optimizer": optimizer, "scheduler": scheduler}, []
    name = hashlib.sha256(f"{identity(args)} {args.config_id}".encode()).hexdigest()[:32]
    by_hand = Path("checkpoints", name)  # a hash: an id may be too long for a name
    checkpoint = Path(os.environ.get("HBTRACK_CHECKPOINT", by_hand), "checkpoint.pt")
    if checkpoint.exists():
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        losses = state.pop("losses")
        for part, part_state in state.items():
            parts[part].load_state_dict(part_state)
    many = args.multi_gpu and torch.cuda.device_count() > 1
    trained = nn.DataParallel(model) if many else model
    while len(losses) < args.epochs:
        torch.manual_seed(1_000_000 * args.seed + len(losses) + 1)  # random, and known
        batches = DataLoader(training, config["batch_size"], shuffle=True)
        train_one_epoch(trained, batches, optimizer, device)
        scheduler.step()
        losses.append(loss_of(model, validation, device))
        print(f"epoch {len(losses)}: {losses[-1]:.4f}", flush=True)
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
        partial = checkpoint.with_suffix(".partial")
        states = {part: of.state_dict() for part, of in parts.items()}
        torch.save({**states, "losses": losses}, partial)
        partial.replace(checkpoint)
    print(losses[args.epochs - 1])


if __name__ == "__main__":
    main()
