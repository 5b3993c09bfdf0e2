"""Optuna's journal, filled with lines as it writes them."""

import json
from pathlib import Path

from optuna.samplers import RandomSampler
from peers.optuna_journal import storage
from peers.optuna_study import study_in

from stores import optuna_

HOW = "lines copied from one trial that it wrote itself, with other numbers and values"


def fill(folder: Path, count: int) -> None:
    """One trial, and its copies with other values."""
    study = study_in(storage(str(folder)), 81, RandomSampler(seed=0))
    optuna_.one_more(study)
    path = folder / "optuna.journal"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    model = [line for line in lines if line["op_code"] in (4, 5, 6, 7)]
    with path.open("a") as journal:
        for number in range(1, count):
            value = number * 7919 % 100003 / 100003
            for line in model:
                new = {
                    "trial_id": number,
                    "param_value_internal": value,
                    "intermediate_value": value,
                    "values": [value],
                }
                journal.write(
                    json.dumps(line | {key: new[key] for key in new if key in line}) + "\n"
                )


write = optuna_.writer(storage)
QUESTIONS = optuna_.questions(storage)
