"""An Optuna study of the script: a trial is a config, which reports at every rung."""

import pickle
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.pruners import HyperbandPruner
from optuna.samplers import BaseSampler, RandomSampler
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from peers.task import Task, evaluate

NAME = "against"
ABOUT = (
    "HyperbandPruner (asynchronous: a trial is judged against those that came before, "
    "none waits), RandomSampler, `n_jobs` threads. For the kill the sampler is pickled "
    "after every trial, as its FAQ advises."
)
FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def study_in(storage: BaseStorage, max_epochs: int, sampler: BaseSampler) -> optuna.Study:
    """The study, made if it is not there."""
    pruner = HyperbandPruner(min_resource=1, max_resource=max_epochs, reduction_factor=3)
    return optuna.create_study(
        storage=storage, study_name=NAME, sampler=sampler, pruner=pruner, load_if_exists=True
    )


def search(task: Task, storage: BaseStorage) -> None:
    """Search, or go on with what is stored."""
    kept = Path(task.folder) / "sampler.pickle"
    sampler = pickle.loads(kept.read_bytes()) if kept.exists() else RandomSampler(seed=task.seed)
    study = study_in(storage, task.max_epochs, sampler)

    def objective(trial: optuna.Trial) -> float:
        x, loss = trial.suggest_float("x", 0, 1), float("inf")
        known = reported(study, trial) if task.survive else {}
        for epochs in task.budgets:
            if epochs in known:
                continue
            loss = evaluate(task, x, epochs)
            trial.report(loss, epochs)
            if trial.should_prune():
                raise optuna.TrialPruned
        return loss

    def keep(_study: optuna.Study, trial: optuna.trial.FrozenTrial) -> None:
        draft = kept.with_suffix(f".{trial.number}")
        draft.write_bytes(pickle.dumps(sampler))
        draft.replace(kept)

    left = task.trials - (len(study.get_trials(states=FINISHED)) if task.survive else 0)
    study.optimize(
        objective, n_trials=left, n_jobs=task.workers, callbacks=[keep] if task.survive else []
    )


def reported(study: optuna.Study, trial: optuna.Trial) -> dict[int, float]:
    """What is there already: a trial that takes up another has inherited its reports."""
    waiting = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return next(one.intermediate_values for one in waiting if one.number == trial.number)


def results_of(
    storage: Callable[[str], BaseStorage],
) -> Callable[[Task], list[tuple[float, int, float]]]:
    """What was accepted, over all trials: x, epochs, loss."""

    def results(task: Task) -> list[tuple[float, int, float]]:
        study = optuna.load_study(study_name=NAME, storage=storage(task.folder))
        return [
            (trial.params["x"], epochs, loss)
            for trial in study.get_trials(deepcopy=False)
            if trial.state in FINISHED
            for epochs, loss in trial.intermediate_values.items()
        ]

    return results
