"""Ray Tune on this machine alone, with a trainable that calls the script."""

import os
import tempfile
from pathlib import Path

from peers.task import Task, evaluate

TITLE = "Ray Tune"
DISTRIBUTION = "ray"
ABOUT = (
    "ASHAScheduler with the brackets of Hyperband (asynchronous), function trainable with"
    " a checkpoint per report, `reuse_actors`, `ray.init` without a dashboard on the "
    "loopback. Its state is a file per trial and one of the experiment, rewritten from "
    "time to time; no fsync."
)
NAME = "against"


def trainable(task: Task):  # type: ignore[no-untyped-def]
    """A trial: a config that reports at every rung, and starts where its checkpoint says."""

    def train(config: dict[str, float]) -> None:
        from ray import tune

        checkpoint, done = tune.get_checkpoint(), 0
        if checkpoint:
            with checkpoint.as_directory() as folder:
                done = int((Path(folder) / "epochs").read_text())
        for epochs in (one for one in task.budgets if one > done):
            loss = evaluate(task, config["x"], epochs)
            with tempfile.TemporaryDirectory() as folder:
                (Path(folder) / "epochs").write_text(str(epochs))
                kept = tune.Checkpoint.from_directory(folder)
                tune.report({"loss": loss, "epochs": epochs}, checkpoint=kept)

    return train


def search(task: Task) -> None:
    """Search, or restore."""
    os.environ |= {
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_DEDUP_LOGS": "0",
    }
    import ray
    from ray import tune

    ray.init(
        num_cpus=task.workers,
        include_dashboard=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(Path(task.folder) / "ray"),
        object_store_memory=100_000_000,
        log_to_driver=False,
        logging_level="ERROR",
    )
    try:
        tuner_of(task, tune).fit()
    finally:
        ray.shutdown()


def tuner_of(task: Task, tune):  # type: ignore[no-untyped-def]
    """A new tuner, or the one that was saved."""
    train = tune.with_resources(trainable(task), {"cpu": 1})
    saved = Path(task.folder) / NAME
    if task.survive and tune.Tuner.can_restore(str(saved)):
        return tune.Tuner.restore(str(saved), trainable=train, resume_unfinished=True)
    scheduler = tune.schedulers.ASHAScheduler(
        time_attr="epochs",
        max_t=task.max_epochs,
        grace_period=1,
        reduction_factor=3,
        brackets=len(task.budgets),
    )
    return tune.Tuner(
        train,
        param_space={"x": tune.uniform(0, 1)},
        tune_config=tune.TuneConfig(
            metric="loss",
            mode="min",
            scheduler=scheduler,
            search_alg=tune.search.BasicVariantGenerator(random_state=task.seed),
            num_samples=task.trials,
            max_concurrent_trials=task.workers,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(name=NAME, storage_path=task.folder, verbose=0),
    )


def results(task: Task) -> list[tuple[float, int, float]]:
    """What was accepted: x, epochs, loss."""
    import json

    found = []
    for file in Path(task.folder).glob(f"{NAME}/*/result.json"):
        for line in file.read_text().splitlines():
            one = json.loads(line)
            found.append((one["config"]["x"], one["epochs"], one["loss"]))
    return found
