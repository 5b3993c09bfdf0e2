"""CatBoost: a snapshot, with all settings that CatBoost else derives from the length."""

import argparse
import os
from pathlib import Path

import numpy as np
from catboost import CatBoostRegressor

ITERATIONS = 100  # an epoch


def get_random_config_id(rng):
    return f"learning_rate:{10 ** rng.uniform(-2, 0):.3g}"


def run_identity(argv):
    return "catboost"


def load_data():
    rng = np.random.RandomState(0)
    x = rng.uniform(-1, 1, (300, 6))
    y = np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 2] + rng.normal(0, 0.1, 300)
    return x[:200], y[:200], x[200:], y[200:]


class Progress:
    """A line per epoch."""

    def after_iteration(self, info):
        if info.iteration % ITERATIONS == 0:
            print(f"epoch {info.iteration // ITERATIONS}", flush=True)
        return True


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--multi_gpu", action="store_true")
    args = parser.parse_args()
    folder = Path(os.environ.get("HBTRACK_CHECKPOINT", "by-hand")).resolve()

    model = CatBoostRegressor(
        iterations=args.epochs * ITERATIONS,
        depth=4,
        learning_rate=float(args.config_id.split(":")[1]),  # else it follows from iterations
        max_ctr_complexity=4,  # else 1 below 200 iterations and 4 from there: another snapshot
        random_seed=0,
        thread_count=1,
        train_dir=str(folder),
        save_snapshot=True,
        snapshot_interval=0,
        logging_level="Silent",
    )
    x, y, x_test, y_test = load_data()
    model.fit(x, y, callbacks=[Progress()])
    print(float(np.mean((model.predict(x_test) - y_test) ** 2)))


if __name__ == "__main__":
    main()
