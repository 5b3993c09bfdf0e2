"""Optuna with its RDBStorage on SQLite, the storage that its documentation starts with."""

from pathlib import Path

from optuna.storages import BaseStorage, RDBStorage, RetryHeartbeatStaleTrialCallback

from peers import optuna_study
from peers.task import Task

TITLE = "Optuna, SQLite"
DISTRIBUTION = "optuna"
ABOUT = (
    "RDBStorage on SQLite as its driver sets it (rollback journal, `synchronous=FULL`: "
    "fsync'ed). For the kill with `heartbeat_interval=1`, `grace_period=2` and "
    "RetryHeartbeatStaleTrialCallback, elsewhere without. "
) + optuna_study.ABOUT


def storage(folder: str, *, survive: bool = False) -> BaseStorage:
    """One file in the folder."""
    url = f"sqlite:///{Path(folder) / 'optuna.db'}"
    if not survive:
        return RDBStorage(url)
    retry = RetryHeartbeatStaleTrialCallback(inherit_intermediate_values=True)
    return RDBStorage(
        url, heartbeat_interval=1, grace_period=2, heartbeat_stale_trial_callback=retry
    )


def search(task: Task) -> None:
    """Search, or go on."""
    optuna_study.search(task, storage(task.folder, survive=task.survive))


results = optuna_study.results_of(storage)
