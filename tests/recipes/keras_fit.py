"""Keras: each epoch begins with a seed of its own, and the file has the optimizer in it."""

import argparse
import os
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np


def get_random_config_id(rng):
    return f"lr:{10 ** rng.uniform(-3, -1):.3g}"


def run_identity(argv):
    return "keras"


class Epochs(keras.callbacks.Callback):
    """Seeds each epoch by its number, and saves after it."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def on_epoch_begin(self, epoch, logs=None):
        keras.utils.set_random_seed(1000 + epoch)

    def on_epoch_end(self, epoch, logs=None):
        partial = self.path.with_name("partial.keras")
        self.model.save(partial)  # .weights.h5 would be without the optimizer
        partial.replace(self.path)


def new_model(lr):
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((8,)), layers.Dense(32, "relu"), layers.Dropout(0.2), layers.Dense(1)]
    )
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(lr), loss)
    return model


def load_data():
    x = np.random.RandomState(0).normal(size=(400, 8)).astype("float32")
    y = ((x**2).sum(1) < 7).astype("float32")
    return x[:300], y[:300], x[300:], y[300:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--multi_gpu", action="store_true")
    args = parser.parse_args()
    path = Path(os.environ.get("HBTRACK_CHECKPOINT", "."), "checkpoint.keras")

    keras.utils.set_random_seed(0)  # for the first weights
    model = new_model(lr=float(args.config_id.removeprefix("lr:")))
    if path.exists():
        model = keras.models.load_model(path)
    x, y, x_test, y_test = load_data()
    done = int(model.optimizer.iterations) // 10  # 300 rows are 10 batches of 32
    model.fit(
        *(x, y),
        batch_size=32,
        initial_epoch=done,
        epochs=args.epochs,
        verbose=0,
        callbacks=[Epochs(path)],
    )
    print(model.evaluate(x_test, y_test, verbose=0))


if __name__ == "__main__":
    main()
