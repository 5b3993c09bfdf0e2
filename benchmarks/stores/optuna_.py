"""An Optuna study in any storage."""

import itertools
import time
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import BaseStorage
from peers.optuna_study import study_in

optuna.logging.set_verbosity(optuna.logging.WARNING)


def one_more(study: optuna.Study) -> None:
    """A trial with one report."""
    trial = study.ask()
    x = trial.suggest_float("x", 0, 1)
    trial.report(x, 1)
    trial.should_prune()
    study.tell(trial, x)


def writer(storage: Callable[[str], BaseStorage]) -> Callable[[Path, int], list[float]]:
    """What writes so many trials more."""

    def write(folder: Path, count: int) -> list[float]:
        study = study_in(storage(str(folder)), 81, RandomSampler())
        one_more(study)  # what is read once, is the question for the next
        marks = [time.perf_counter()]
        for _ in range(count):
            one_more(study)
            marks.append(time.perf_counter())
        return [after - before for before, after in itertools.pairwise(marks)]

    return write


def questions(storage: Callable[[str], BaseStorage]) -> dict[str, Callable[[Path], object]]:
    """What is asked of a study."""

    def opened(folder: Path) -> optuna.Study:
        return study_in(storage(str(folder)), 81, RandomSampler())

    def following(folder: Path) -> None:
        opened(folder).ask().suggest_float("x", 0, 1)

    return {
        "best": lambda folder: opened(folder).best_trial,
        "next": following,
        "report": lambda folder: opened(folder).trials_dataframe().shape,
    }
