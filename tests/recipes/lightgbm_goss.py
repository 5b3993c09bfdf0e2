"""LightGBM with GOSS: a seed and a model file per step, each step longer than 1 / learning_rate."""

import argparse
import os
from pathlib import Path

import lightgbm
import numpy as np

ROUNDS = 10  # an epoch: GOSS takes all rows in the first 1 / learning_rate rounds of each call


def get_random_config_id(rng):
    return f"learning_rate:{rng.uniform(0.2, 0.5):.2f}"


def run_identity(argv):
    return "goss"


def load_data():
    rng = np.random.RandomState(0)
    x = rng.uniform(-1, 1, (600, 6))
    y = np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2] + rng.normal(0, 0.1, 600)
    return x[:400], y[:400], x[400:], y[400:]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--multi_gpu", action="store_true")
    args = parser.parse_args()
    path = Path(os.environ.get("HBTRACK_CHECKPOINT", "."), "model.txt")

    params = {"objective": "l2", "data_sample_strategy": "goss", "num_threads": 1, "verbose": -1}
    params |= {"deterministic": True, "learning_rate": float(args.config_id.split(":")[1])}
    x, y, x_test, y_test = load_data()
    model = lightgbm.Booster(model_file=path) if path.exists() else None
    done = model.current_iteration() // ROUNDS if model else 0
    for epoch in range(done, args.epochs):
        params["seed"] = 1000 + epoch  # with one seed for all, each call draws the same rows again
        data = lightgbm.Dataset(x, y)
        model = lightgbm.train(params, data, num_boost_round=ROUNDS, init_model=model)
        partial = path.with_suffix(".partial")
        model.save_model(partial)
        partial.replace(path)
        print(f"epoch {epoch + 1}", flush=True)
    print(float(np.mean((model.predict(x_test) - y_test) ** 2)))


if __name__ == "__main__":
    main()
