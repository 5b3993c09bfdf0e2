"""DEHB by ask and tell, with threads that call the script."""

from pathlib import Path

from peers.task import Task, evaluate, in_threads

TITLE = "DEHB"
DISTRIBUTION = "dehb"
ABOUT = (
    "ask and tell, threads (its own `run` would start Dask for more than one worker). "
    "Synchronous rungs; after the first brackets configs come from differential "
    'evolution. `save_freq="step"`: the whole history is rewritten after every result (by'
    " default only when there is a new best); no fsync."
)


def optimiser(folder: str, max_epochs: int, seed: int, *, resume: bool, save: str = "step"):  # type: ignore[no-untyped-def]
    """DEHB over one parameter."""
    from ConfigSpace import ConfigurationSpace, Float
    from dehb import DEHB

    space = ConfigurationSpace(seed=seed)
    space.add(Float("x", (0.0, 1.0)))
    return DEHB(
        cs=space,
        f=None,
        min_fidelity=1,
        max_fidelity=max_epochs,
        eta=3,
        n_workers=1,
        seed=seed,
        output_path=str(Path(folder) / "dehb"),
        save_freq=save,
        resume=resume,
        log_level="ERROR",
    )


def search(task: Task) -> None:
    """Search, or go on with the history that was saved."""
    going_on = task.survive and (Path(task.folder) / "dehb" / "dehb_state.json").exists()
    dehb = optimiser(task.folder, task.max_epochs, task.seed, resume=going_on)
    left = task.calls - len(dehb.traj)

    def ask() -> dict[str, object] | None:
        nonlocal left
        left -= 1
        return dehb.ask() if left >= 0 else None

    def work(job) -> float:  # type: ignore[no-untyped-def]
        return evaluate(task, job["config"]["x"], round(job["fidelity"]))

    def tell(job: dict[str, object], loss: float) -> None:
        dehb.tell(job, {"fitness": loss, "cost": 1.0})

    in_threads(task.workers, ask, work, tell)


def results(task: Task) -> list[tuple[float, int, float]]:
    """What was accepted: x, epochs, loss."""
    import pandas as pd

    frame = pd.read_parquet(Path(task.folder) / "dehb" / "history.parquet.gzip")
    return [
        (float(row.config[0]), round(row.fidelity), float(row.fitness))
        for row in frame.itertuples()
    ]
