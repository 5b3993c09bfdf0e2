"""Optuna with its journal file."""

from pathlib import Path

from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from peers import optuna_study
from peers.task import Task

TITLE = "Optuna, journal"
DISTRIBUTION = "optuna"
ABOUT = (
    "JournalStorage with JournalFileBackend: lines appended to a file, fsync'ed. It has "
    "no heartbeat: what ran at a kill stays `RUNNING`. "
) + optuna_study.ABOUT


def storage(folder: str) -> BaseStorage:
    """One file in the folder."""
    return JournalStorage(JournalFileBackend(str(Path(folder) / "optuna.journal")))


def search(task: Task) -> None:
    """Search, or go on."""
    optuna_study.search(task, storage(task.folder))


results = optuna_study.results_of(storage)
