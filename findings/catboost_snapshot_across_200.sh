#!/usr/bin/env bash
# CatBoost 1.2.10: a snapshot of fewer than 200 iterations cannot be gone on with to 200 or more.
#
# Expected: `iterations` says how far to train, so a snapshot goes on to any larger number, as one of
#   100 does to 190 and one of 200 to 300.
# Seen: from 100 to 300 CatBoostError "Current training params differ from the params saved in
#   snapshot", though nothing but `iterations` does. max_ctr_complexity, which the call does not set,
#   is 1 below 200 iterations and 4 from there, for data without a categorical column, too.
# Helps: max_ctr_complexity=4 in each call.
#
# Exits with 0 while it is so, with 1 when it has changed.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/python -m pip install -q catboost==1.2.10

cat >fit.py <<'PY'
import sys

import numpy as np
from catboost import CatBoostRegressor

folder, complexity, *totals = sys.argv[1:]
more = {"max_ctr_complexity": int(complexity)} if complexity != "unset" else {}
x = np.random.RandomState(0).uniform(-1, 1, (200, 4))
for total in totals:
    model = CatBoostRegressor(
        iterations=int(total),
        learning_rate=0.05,
        train_dir=folder,
        save_snapshot=True,
        logging_level="Silent",
        **more,
    )
    model.fit(x, x[:, 0] + x[:, 1] * x[:, 2])
PY

venv/bin/python fit.py below unset 100 190
venv/bin/python fit.py above unset 200 300
venv/bin/python fit.py set 4 100 300
if venv/bin/python fit.py across unset 100 300 2>stderr; then
    echo "changed: from 100 to 300 it goes on"
    exit 1
fi
grep -o "Current training params differ from the params saved in snapshot" stderr
