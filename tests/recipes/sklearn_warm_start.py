"""scikit-learn: an ensemble that grows to a total with warm_start."""

import argparse
import os
import pickle
from pathlib import Path

from sklearn.datasets import make_classification
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.metrics import log_loss

TREES = 10  # an epoch


def get_random_config_id(rng):
    return f"learning_rate:{10 ** rng.uniform(-2, 0):.3g}"


def run_identity(argv):
    return "warm_start"


def save(model, path):
    partial = path.with_suffix(".partial")
    partial.write_bytes(pickle.dumps(model))
    partial.replace(path)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("config_id")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--gpu", type=int, default=0)
    parser.add_argument("--multi_gpu", action="store_true")
    args = parser.parse_args()
    path = Path(os.environ.get("HBTRACK_CHECKPOINT", "."), "model.pickle")

    x, y = make_classification(400, 8, random_state=0)
    lr = float(args.config_id.split(":")[1])
    model = GradientBoostingClassifier(
        learning_rate=lr, subsample=0.5, warm_start=True, random_state=0, n_estimators=0
    )
    if path.exists():
        model = pickle.loads(path.read_bytes())
    for epoch in range(model.n_estimators // TREES, args.epochs):
        model.set_params(n_estimators=TREES * (epoch + 1))  # the total, not what is added
        model.fit(x[:300], y[:300])
        save(model, path)
        print(f"epoch {epoch + 1}", flush=True)
    print(log_loss(y[300:], model.predict_proba(x[300:])))


if __name__ == "__main__":
    main()
