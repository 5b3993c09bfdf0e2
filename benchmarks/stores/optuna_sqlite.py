"""Optuna in SQLite, filled by SQL: its own writing of 100,000 trials would take most of an hour."""

import sqlite3
from contextlib import closing
from pathlib import Path

from optuna.samplers import RandomSampler
from peers.optuna_sqlite import storage
from peers.optuna_study import study_in

from stores import optuna_

HOW = "rows copied by SQL from one trial that it wrote itself (trial, parameter, report, value)"
_NUMBERS = """WITH RECURSIVE
    numbers(n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?),
    made AS (SELECT n, (n * 7919 % 100003) / 100003.0 AS value FROM numbers)"""
_COPIES = {
    "trials (trial_id, number, study_id, state, datetime_start, datetime_complete)": (
        "n, n - 1, study_id, state, datetime_start, datetime_complete"
    ),
    "trial_params (trial_id, param_name, param_value, distribution_json)": (
        "n, param_name, made.value, distribution_json"
    ),
    "trial_values (trial_id, objective, value, value_type)": "n, objective, made.value, value_type",
    "trial_intermediate_values (trial_id, step, intermediate_value, intermediate_value_type)": (
        "n, step, made.value, intermediate_value_type"
    ),
}


def fill(folder: Path, count: int) -> None:
    """One trial, and its copies with other values."""
    optuna_.one_more(study_in(storage(str(folder)), 81, RandomSampler(seed=0)))
    with closing(sqlite3.connect(folder / "optuna.db")) as connection, connection:
        for table, columns in _COPIES.items():
            source = f"SELECT {columns} FROM made, {table.partition(' ')[0]} WHERE trial_id = 1"
            connection.execute(f"INSERT INTO {table} {_NUMBERS} {source}", (count,))


write = optuna_.writer(storage)
QUESTIONS = optuna_.questions(storage)
