"""Lightning: what is random follows from the epoch's number, and SIGTERM ends with status 143."""

import argparse
import os
import signal
import sys
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

MAX_EPOCHS = int(os.environ.get("HBTRACK_MAX_EPOCHS", "27"))


def get_random_config_id(rng):
    return f"lr:{10 ** rng.uniform(-3, -1):.3g}"


def run_identity(argv):
    return "lightning"


class ShuffledByEpoch(Sampler):
    """Another order for each epoch, the same in each process. Lightning calls set_epoch."""

    def __init__(self, dataset):
        self.length, self.epoch = len(dataset), 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.epoch)
        return iter(torch.randperm(self.length, generator=generator).tolist())

    def __len__(self):
        return self.length


class Model(pl.LightningModule):
    def __init__(self, lr):
        super().__init__()
        self.lr = lr
        self.net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 2))

    def on_train_batch_start(self, batch, batch_idx):
        if batch_idx == 0:  # after the iterator was made, which draws a number
            torch.manual_seed(1000 + self.current_epoch)

    def training_step(self, batch, batch_idx):
        x, y = batch
        return nn.functional.cross_entropy(self.net(x), y)

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("loss", nn.functional.cross_entropy(self.net(x), y))

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=self.lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=MAX_EPOCHS)
        return [optimizer], [schedule]


def load_data():
    x = torch.randn(400, 8, generator=torch.Generator().manual_seed(0))
    y = (x.square().sum(1) < 7).long()
    return TensorDataset(x[:300], y[:300]), TensorDataset(x[300:], y[300:])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--multi_gpu", action="store_true")
    args = parser.parse_args()
    folder = Path(os.environ.get("HBTRACK_CHECKPOINT", "by-hand"))
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # Lightning leaves it in its place

    pl.seed_everything(0)  # for the first weights
    model = Model(lr=float(args.config_id.removeprefix("lr:")))
    training, validation = load_data()
    trainer = pl.Trainer(
        max_epochs=args.epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[pl.callbacks.ModelCheckpoint(folder, save_last=True, save_top_k=0)],
    )
    loader = DataLoader(training, batch_size=32, sampler=ShuffledByEpoch(training))
    last = folder / "last.ckpt"
    trainer.fit(model, loader, ckpt_path=last if last.exists() else None)
    loader = DataLoader(validation, batch_size=100)
    print(trainer.validate(model, loader, verbose=False)[0]["loss"])


if __name__ == "__main__":
    main()
