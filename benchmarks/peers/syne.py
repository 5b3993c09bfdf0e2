"""Syne Tune's LocalBackend, which calls the script itself."""

import logging
import os
import shutil
from pathlib import Path

from peers.task import Task

TITLE = "Syne Tune"
DISTRIBUTION = "syne-tune"
ABOUT = (
    "LocalBackend and AsynchronousSuccessiveHalving with the brackets of Hyperband. One "
    "process trains a config through all rungs and is killed when its reports fall "
    "behind; so it starts fewer processes than the others, each for longer. "
    "`sleep_time=0.01` (default 5 s), `results_update_interval=1` (default 10 s): results"
    " and state are rewritten as whole files that often, no fsync."
)


def search(task: Task) -> None:
    """Search, or go on with the tuner that was saved."""
    os.environ["SYNETUNE_FOLDER"] = task.folder
    logging.disable(logging.WARNING)
    import numpy as np
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import LocalBackend
    from syne_tune.config_space import uniform
    from syne_tune.optimizer.schedulers.asha import AsynchronousSuccessiveHalving

    saved = Path(task.folder) / TUNER
    if task.survive and (saved / "tuner.dill").exists():
        Tuner.load(str(saved)).run()
        return
    shutil.rmtree(saved, ignore_errors=True)  # killed before it saved anything: from the beginning
    np.random.seed(task.seed)
    space = {
        "x": uniform(0, 1),
        "epochs": task.max_epochs,
        "reports": "-".join(map(str, task.budgets)),
    }
    scheduler = AsynchronousSuccessiveHalving(
        space,
        metric="loss",
        time_attr="epochs",
        max_t=task.max_epochs,
        grace_period=1,
        reduction_factor=3,
        brackets=len(task.budgets),
        random_seed=task.seed,
    )
    Tuner(
        trial_backend=LocalBackend(task.script),
        scheduler=scheduler,
        stop_criterion=StoppingCriterion(max_num_trials_started=task.trials - 1),
        n_workers=task.workers,
        sleep_time=0.01,
        results_update_interval=1.0,
        wait_trial_completion_when_stopping=True,
        tuner_name=TUNER,
        suffix_tuner_name=False,
    ).run()


TUNER = "against"


def results(task: Task) -> list[tuple[float, int, float]]:
    """What was accepted: x, epochs, loss."""
    import pandas as pd

    frame = pd.read_csv(Path(task.folder) / TUNER / "results.csv.zip")
    return list(frame[["config_x", "epochs", "loss"]].itertuples(index=False, name=None))
