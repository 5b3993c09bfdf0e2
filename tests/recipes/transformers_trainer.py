"""Transformers' Trainer: every call plans the whole search's epochs and stops after its own."""

import argparse
import os
import sys
from pathlib import Path

import torch
from safetensors.torch import load_model
from torch import nn
from transformers import Trainer, TrainerCallback, TrainerState, TrainingArguments, set_seed
from transformers.trainer_utils import get_last_checkpoint

MAX_EPOCHS = int(os.environ.get("HBTRACK_MAX_EPOCHS", "27"))


def get_random_config_id(rng):
    return f"lr:{10 ** rng.uniform(-3, -1):.3g}"


def run_identity(argv):
    return "transformers"


class StopAfter(TrainerCallback):
    """Ends training after so many epochs of those that are planned."""

    def __init__(self, epochs):
        self.epochs = epochs

    def on_epoch_end(self, args, state, control, **kwargs):
        if state.epoch >= self.epochs:
            control.should_training_stop = True


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 2))

    def forward(self, x, labels):
        logits = self.net(x)
        return {"loss": nn.functional.cross_entropy(logits, labels), "logits": logits}


def load_data():
    x = torch.randn(400, 8, generator=torch.Generator().manual_seed(0))
    rows = [{"x": row, "labels": (row.square().sum() < 7).long()} for row in x]
    return rows[:300], rows[300:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--multi_gpu", action="store_true")
    args = parser.parse_args()
    folder = Path(os.environ.get("HBTRACK_CHECKPOINT", "by-hand"))
    folder.mkdir(exist_ok=True)

    set_seed(0)  # for the first weights
    training, validation = load_data()
    settings = TrainingArguments(
        output_dir=folder,
        num_train_epochs=MAX_EPOCHS,  # the schedule's length, the same in each call
        learning_rate=float(args.config_id.removeprefix("lr:")),
        per_device_train_batch_size=32,
        warmup_steps=5,  # a whole number: a fraction is one of all steps
        save_strategy="epoch",
        save_total_limit=1,
        enable_jit_checkpoint=True,  # at SIGTERM it saves, and train() returns
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
    )
    model, stop = Model(), StopAfter(args.epochs)
    trainer = Trainer(model, settings, train_dataset=training, callbacks=[stop])
    last = get_last_checkpoint(folder)
    done = TrainerState.load_from_json(f"{last}/trainer_state.json").epoch if last else 0
    if done < args.epochs:
        trainer.train(resume_from_checkpoint=last)
        if trainer.state.epoch < args.epochs:
            sys.exit(143)  # stopped by a signal
    else:  # train() would train the next one
        load_model(model, Path(last, "model.safetensors"))
    print(trainer.evaluate(validation)["eval_loss"])


if __name__ == "__main__":
    main()
