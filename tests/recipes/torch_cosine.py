"""PyTorch with a schedule that has a length: it is the search's, not this call's."""

import argparse
import os
from pathlib import Path

import torch
from torch import nn

MAX_EPOCHS = int(os.environ.get("HBTRACK_MAX_EPOCHS", "27"))


def get_random_config_id(rng):
    return f"lr:{10 ** rng.uniform(-2, 0):.3g}"


def run_identity(argv):
    return "torch_cosine"


def save(state, path):
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def load_data():
    x = torch.randn(400, 8, generator=torch.Generator().manual_seed(0))
    return x, (x.square().sum(1) < 7).long()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--multi_gpu", action="store_true")
    args = parser.parse_args()
    path = Path(os.environ.get("HBTRACK_CHECKPOINT", "."), "checkpoint.pt")

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 2))
    lr = float(args.config_id.removeprefix("lr:"))
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=MAX_EPOCHS)
    parts = {"model": model, "optimizer": optimizer, "scheduler": scheduler}
    done = 0
    if path.exists():
        state = torch.load(path, weights_only=True)
        done = state.pop("done")
        for name, part in state.items():
            parts[name].load_state_dict(part)

    x, y = load_data()
    for epoch in range(done, args.epochs):
        torch.manual_seed(1000 + epoch)
        model.train()
        for rows in torch.randperm(300).split(32):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
        scheduler.step()
        save({"done": epoch + 1} | {name: part.state_dict() for name, part in parts.items()}, path)

    model.eval()
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(x[300:]), y[300:])
    print(float(loss))


if __name__ == "__main__":
    main()
