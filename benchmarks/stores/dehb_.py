"""DEHB: the whole history as one file."""

import time
from pathlib import Path

import ConfigSpace  # noqa: F401 - loaded before the clock starts
import dehb  # noqa: F401
import pandas as pd
from peers.dehb_ import optimiser

HOW = (
    'asked and told without scripts, saved at the end; a write is a result with `save_freq="step"`'
)


def one_more(optimiser) -> None:  # type: ignore[no-untyped-def]
    """Ask and tell."""
    job = optimiser.ask()
    optimiser.tell(job, {"fitness": float(job["config"]["x"]), "cost": 1.0})


def fill(folder: Path, count: int) -> None:
    """Results, and one saving."""
    one = optimiser(str(folder), 81, 0, resume=False, save="end")
    for _ in range(count):
        one_more(one)
    one.save()


def write(folder: Path, count: int) -> list[float]:
    """Results that are saved at once."""
    one, found = optimiser(str(folder), 81, 0, resume=True, save="end"), []
    one.save_freq = "step"
    for _ in range(min(count, 5)):
        begun = time.perf_counter()
        one_more(one)
        found.append(time.perf_counter() - begun)
    return found


def best(folder: Path) -> None:
    """The least fitness of the history."""
    frame = history(folder)
    frame.loc[frame["fitness"].idxmin()]


def history(folder: Path):  # type: ignore[no-untyped-def]
    """All results."""
    return pd.read_parquet(folder / "dehb" / "history.parquet.gzip")


def following(folder: Path) -> None:
    """Replay the history, and ask."""
    optimiser(str(folder), 81, 0, resume=True, save="end").ask()


QUESTIONS = {"best": best, "next": following, "report": history}
