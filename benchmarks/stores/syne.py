"""Syne Tune: the table of results and the saved tuner, both rewritten as a whole."""

import datetime
import logging
import os
import time
from pathlib import Path
from random import Random

import pandas as pd
from syne_tune import StoppingCriterion, Tuner
from syne_tune.backend import LocalBackend
from syne_tune.backend.trial_status import Status, Trial
from syne_tune.config_space import uniform
from syne_tune.optimizer.schedulers.asha import AsynchronousSuccessiveHalving

HOW = (
    "results handed to its callback and put into its rungs, written once; a write is one rewriting"
    " of both files, which happens every `results_update_interval`"
)
logging.disable(logging.WARNING)


def tuner_in(folder: Path):  # type: ignore[no-untyped-def]
    """A tuner that calls nothing."""
    os.environ["SYNETUNE_FOLDER"] = str(folder)
    scheduler = AsynchronousSuccessiveHalving(
        {"x": uniform(0, 1)},
        metric="loss",
        time_attr="epochs",
        max_t=81,
        reduction_factor=3,
        brackets=5,
    )
    return Tuner(
        LocalBackend(__file__),
        scheduler,
        StoppingCriterion(),
        1,
        tuner_name="against",
        suffix_tuner_name=False,
    )


def fill(folder: Path, count: int) -> None:
    """Results, as its loop would hand them on."""
    tuner, draws = tuner_in(folder), Random(0)
    tuner.tuner_path.mkdir(parents=True, exist_ok=True)
    (callback,) = tuner.callbacks
    callback.on_tuning_start(tuner)
    callback.save_results_at_frequency = lambda: None
    for number in range(count):
        trial = Trial(number, {"x": draws.random()}, datetime.datetime.now())
        result = {"epochs": 1, "loss": draws.random(), "st_worker_timestamp": time.time()}
        tuner.scheduler.on_trial_add(trial)
        tuner.scheduler.brackets[0].rungs[-1][1][number] = {"loss": result["loss"]}
        callback.on_trial_result(trial, Status.in_progress, result, "CONTINUE")
    callback.save_results_at_frequency = None
    callback.store_results()
    tuner.save()


def saved(folder: Path):  # type: ignore[no-untyped-def]
    """The tuner as it was saved."""
    os.environ["SYNETUNE_FOLDER"] = str(folder)
    return Tuner.load(str(folder / "against"))


def write(folder: Path, count: int) -> list[float]:
    """Both files, as a whole, a few times."""
    tuner, found = saved(folder), []
    for _ in range(min(count, 5)):
        begun = time.perf_counter()
        tuner.callbacks[0].store_results()
        tuner.save()
        found.append(time.perf_counter() - begun)
    return found


def table(folder: Path):  # type: ignore[no-untyped-def]
    """All results."""
    return pd.read_csv(folder / "against" / "results.csv.zip")


def best(folder: Path) -> None:
    """The least loss."""
    frame = table(folder)
    frame.loc[frame["loss"].idxmin()]


QUESTIONS = {
    "best": best,
    "next": lambda folder: saved(folder).scheduler.suggest(),
    "report": table,
}
